/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import io.warmcache.CacheConfig;
import io.warmcache.DropReason;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PageExplanation;
import io.warmcache.PagedFile;
import io.warmcache.RecoveryReport;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * One life of a cache: compares everything it serves with the stores, says what became of each page it found, works
 * for a while, perhaps under a broken rule, and waits to be killed. Runs on the class path, so that it can switch
 * rules of the core off.
 */
final class FaultLife {
    private final Map<String, String> options = new HashMap<>();
    private final Dataset data;
    private final Random random;
    private final MemorySegment account;
    private final PageCache cache;
    private final List<PagedFile> files = new ArrayList<>();
    private final WritePolicy policy;
    private final MemorySegment page;

    private FaultLife(String[] arguments) throws IOException {
        for (String argument : arguments) {
            int equals = argument.indexOf('=');
            options.put(argument.substring(0, equals), argument.substring(equals + 1));
        }
        data = new Dataset(
                Path.of(text("dir")), Path.of(text("data")), number("files"), number("pages"), number("pageSize"));
        random = new Random(Long.parseLong(text("seed")));
        account = data.account();
        policy = WritePolicy.valueOf(text("policy"));
        page = MemorySegment.ofArray(new byte[data.pageSize()]);
        cache = PageCache.open(
                config(text("cache"), text("socket"), data.pageSize(), number("frames"), text("paranoid")));
        RecoveryReport found = cache.recovery();
        say(found.warm() ? "WARM" : "COLD " + found.coldReason());
        for (int f = 0; f < data.files(); f++) {
            files.add(map(f));
        }
    }

    static CacheConfig config(String name, String socket, int pageSize, int frames, String paranoid) {
        Map<String, String> settings = new HashMap<>();
        if (!socket.isEmpty()) {
            settings.put("xen.socket", socket);
        }
        if (paranoid.equals("on")) {
            settings.put("core.paranoid", "on");
        }
        return CacheConfig.of(name, (long) frames * pageSize)
                .withBackend(socket.isEmpty() ? "shm" : "xen")
                .withPageSize(pageSize)
                .withMaxFiles(64)
                .withOwnerWait(Duration.ofSeconds(60))
                .withMaxUnfinishedAttaches(0)
                .withOptions(settings);
    }

    private String text(String option) {
        String value = options.get(option);
        if (value == null) {
            throw new IllegalArgumentException("no " + option + " was given");
        }
        return value;
    }

    private int number(String option) {
        return Integer.parseInt(text(option));
    }

    private static void say(String line) {
        System.out.println(line);
    }

    private PagedFile map(int file) throws IOException {
        return cache.map(file < 0 ? data.scratch() : data.file(file), MapOptions.DEFAULT.withPolicy(policy));
    }

    /** Ends with READY, and then only by a signal. */
    public static void main(String[] arguments) {
        try {
            FaultLife life = new FaultLife(arguments);
            life.check();
            life.churn();
            life.breakRules();
            say("READY");
            life.end();
        } catch (Throwable t) {
            t.printStackTrace(System.out);
            say("ERROR " + t);
            Runtime.getRuntime().halt(1);
        }
    }

    // ---- what the last life left

    /** Every page as the cache serves it, against its file read past the cache. */
    private void check() throws IOException {
        for (int f = 0; f < data.files(); f++) {
            PagedFile file = files.get(f);
            MemorySegment store = MemorySegment.ofArray(Files.readAllBytes(data.file(f)));
            if (store.byteSize() != file.size()) {
                say("LENGTH " + f + " " + file.size() + " " + store.byteSize());
            }
            for (long p = 0; p < file.pages(); p++) {
                boolean found = file.explain(p).state() == PageExplanation.State.UNVERIFIED;
                page.fill((byte) 0);
                long at = p * data.pageSize();
                int length = (int) Math.min(data.pageSize(), store.byteSize() - at);
                var _ = file.read(at, page.asSlice(0, length));
                boolean survived = file.explain(p).source() == PageExplanation.Source.SURVIVED;
                MemorySegment served = page.asSlice(0, length);
                boolean equal = served.mismatch(store.asSlice(at, length)) < 0;
                boolean expected = p < data.pages()
                        && length == data.pageSize()
                        && data.isAsWritten(account, f, p, served);
                say("PAGE " + f + " " + p + " " + (found ? 1 : 0) + (survived ? 1 : 0) + (equal ? 1 : 0)
                        + (expected ? 1 : 0));
            }
        }
        for (Map.Entry<DropReason, Integer> dropped : cache.recovery().dropped().entrySet()) {
            say("DROPPED " + dropped.getKey() + " " + dropped.getValue());
        }
        for (RecoveryReport.FileRecovery file : cache.recovery().files()) {
            say("VERDICT " + file.name() + " found " + file.found() + " kept " + file.kept() + ": " + file.verdict());
        }
        say("CHECKED");
        resetAccount();
    }

    /** The account goes on from what the files hold now. */
    private void resetAccount() throws IOException {
        for (int f = 0; f < data.files(); f++) {
            byte[] store = Files.readAllBytes(data.file(f));
            for (int p = 0; p < data.pages(); p++) {
                long newest = 0;
                for (int at = p * data.pageSize(); at < Math.min(store.length, (p + 1) * data.pageSize()); at += 8) {
                    long word = MemorySegment.ofArray(store).get(ValueLayout.JAVA_LONG_UNALIGNED, at);
                    if (Dataset.numberOf(word) == data.number(f, p)) {
                        newest = Math.max(newest, Dataset.countOf(word));
                    }
                }
                long at = data.number(f, p) * 16L;
                account.set(ValueLayout.JAVA_LONG, at, newest);
                account.set(ValueLayout.JAVA_LONG, at + 8, 0);
            }
        }
    }

    // ---- work

    private void churn() throws IOException {
        restore();
        int operations = number("churn");
        if (operations > 0) {
            readScratch();
        }
        for (int i = 0; i < operations; i++) {
            int f = random.nextInt(data.files());
            long p = random.nextInt(data.pages());
            if (random.nextInt(3) == 0) {
                write(f, p, random.nextInt(3));
            } else {
                var _ = files.get(f).read(p * data.pageSize(), page);
            }
        }
        for (PagedFile file : files) {
            file.force();
        }
        acknowledgeAll();
        readAll();
    }

    /** Files that a fault has shortened, or pages it has changed in the store, get content of their own again. */
    private void restore() throws IOException {
        for (int f = 0; f < data.files(); f++) {
            PagedFile file = files.get(f);
            long size = (long) data.pages() * data.pageSize();
            if (file.size() > size) {
                file.truncate(size);
            }
            byte[] store = Files.readAllBytes(data.file(f));
            for (long p = 0; p < data.pages(); p++) {
                long at = p * data.pageSize();
                if (store.length < at + data.pageSize()
                        || !data.isAsWritten(
                                account, f, p, MemorySegment.ofArray(store).asSlice(at, data.pageSize()))) {
                    write(f, p, 0);
                }
            }
        }
    }

    private void readAll() throws IOException {
        for (PagedFile file : files) {
            for (long p = 0; p < file.pages(); p++) {
                var _ = file.read(p * data.pageSize(), page);
            }
        }
    }

    /** Evicts what it can, so that pages change frames. */
    private void readScratch() throws IOException {
        try (PagedFile scratch = cache.map(data.scratch(), MapOptions.DEFAULT)) {
            for (int round = 0; round < 2; round++) {
                for (long p = 0; p < scratch.pages(); p++) {
                    var _ = scratch.read(p * data.pageSize(), page);
                }
            }
        }
    }

    private long begin(int f, long p) {
        long at = data.number(f, p) * 16L;
        long count = account.get(ValueLayout.JAVA_LONG, at) + 1;
        account.set(ValueLayout.JAVA_LONG, at, count);
        VarHandle.fullFence(); // the account is not to be reordered with the write
        return count;
    }

    private void acknowledge(int f, long p) {
        VarHandle.fullFence(); // as above
        long at = data.number(f, p) * 16L;
        account.set(ValueLayout.JAVA_LONG, at + 8, account.get(ValueLayout.JAVA_LONG, at));
    }

    private void acknowledgeAll() {
        for (int f = 0; f < data.files(); f++) {
            for (int p = 0; p < data.pages(); p++) {
                acknowledge(f, p);
            }
        }
    }

    /** Writes a page in one of three ways: as a whole, through a pin, or one block of it. */
    private void write(int f, long p, int how) throws IOException {
        long word = data.word(f, p, begin(f, p));
        PagedFile file = files.get(f);
        if (how == 0) {
            byte[] bytes = new byte[data.pageSize()];
            Dataset.fill(MemorySegment.ofArray(bytes), word);
            file.write(p * data.pageSize(), MemorySegment.ofArray(bytes));
        } else {
            int blocks = data.pageSize() / Dataset.BLOCK;
            int offset = how == 1 ? 0 : random.nextInt(blocks) * Dataset.BLOCK;
            int length = how == 1 ? data.pageSize() : Dataset.BLOCK;
            try (WritePin pin = file.pinForWrite(p)) {
                pin.dirty(offset, length);
                Dataset.fill(pin.segment().asSlice(offset, length), word);
            }
        }
        if (policy == WritePolicy.WRITE_THROUGH) {
            acknowledge(f, p);
        }
    }

    // ---- broken rules

    private static void broken(@Nullable String rule) throws ReflectiveOperationException {
        Class<?> type = Class.forName("io.warmcache.core.Mutation");
        Object mutation = null;
        for (Object constant : type.getEnumConstants()) {
            if (constant.toString().equals(rule)) {
                mutation = constant;
            }
        }
        if (rule != null && mutation == null) {
            throw new IllegalArgumentException("the core has no rule " + rule);
        }
        Method turnOn = type.getDeclaredMethod("turnOn", type);
        turnOn.setAccessible(true);
        turnOn.invoke(null, mutation);
    }

    private static void struck(int f, long p) {
        say("STRUCK " + f + " " + p);
    }

    private void breakRules() throws IOException, ReflectiveOperationException {
        String[] rule = options.getOrDefault("break", "").split(":", -1);
        if (rule.length < 2) {
            return;
        }
        int count = Integer.parseInt(rule[1]);
        List<int[]> targets = new ArrayList<>();
        for (int n : Draw.distinct(random, count, data.files() * data.pages())) {
            targets.add(new int[] {n / data.pages(), n % data.pages()});
        }
        switch (rule[0]) {
            case "fence" -> elidedFence(targets);
            case "latch" -> elidedLatch(targets);
            case "evict" -> useAfterEvict(targets);
            case "record" -> uninitialisedRecord(targets);
            case "torn" -> tornUpdate(targets);
            default -> throw new IllegalArgumentException("there is no break " + rule[0]);
        }
    }

    /** The bytes reach memory and the state that announces them does not, as without the fence between the two. */
    @SuppressWarnings("MustBeClosedChecker") // the process is killed with the pages latched
    private void elidedFence(List<int[]> targets) throws ReflectiveOperationException {
        broken("DIRTY_NOT_RECORDED");
        for (int[] t : targets) {
            WritePin pin = files.get(t[0]).pinForWrite(t[1]);
            pin.dirty(0, data.pageSize());
            Dataset.fill(pin.segment(), data.word(t[0], t[1], begin(t[0], t[1])));
            struck(t[0], t[1]);
        }
    }

    /** A write-back takes no notice of the latch, and the writer stores after it has ended. */
    @SuppressWarnings("MustBeClosedChecker") // the process is killed with the pages latched
    private void elidedLatch(List<int[]> targets) throws IOException, ReflectiveOperationException {
        for (int[] t : targets) {
            write(t[0], t[1], 1);
            WritePin pin = files.get(t[0]).pinForWrite(t[1]);
            pin.dirty(0, data.pageSize());
            broken("LATCH_ELIDED");
            files.get(t[0]).flush();
            broken(null);
            Dataset.fill(pin.segment(), data.word(t[0], t[1], begin(t[0], t[1])));
            struck(t[0], t[1]);
        }
    }

    /** Views of pages are kept after their pins were closed, and stored to when the frames hold other pages. */
    private void useAfterEvict(List<int[]> targets) throws IOException {
        List<MemorySegment> views = new ArrayList<>();
        for (int[] t : targets) {
            try (WritePin pin = files.get(t[0]).pinForWrite(t[1])) {
                views.add(pin.segment());
            }
        }
        readScratch();
        readAll();
        Map<Long, int[]> holds = new HashMap<>();
        for (int f = 0; f < data.files(); f++) {
            for (int p = 0; p < data.pages(); p++) {
                if (files.get(f).explain(p).state() == PageExplanation.State.RESIDENT) {
                    try (WritePin pin = files.get(f).pinForWrite(p)) {
                        holds.put(pin.segment().address(), new int[] {f, p});
                    }
                }
            }
        }
        for (MemorySegment view : views) {
            byte[] bytes = new byte[64];
            random.nextBytes(bytes);
            MemorySegment.copy(
                    bytes, 0, view, ValueLayout.JAVA_BYTE, random.nextInt(data.pageSize() - bytes.length), 64);
            int[] hit = holds.get(view.address());
            if (hit == null) {
                say("HARMLESS the frame holds no page of these files");
            } else {
                struck(hit[0], hit[1]);
            }
        }
    }

    /** Pages are written into frames whose records nobody has written. */
    @SuppressWarnings("MustBeClosedChecker") // the process is killed with the pages latched
    private void uninitialisedRecord(List<int[]> targets) throws IOException, ReflectiveOperationException {
        readScratch();
        broken("RECORD_NOT_INITIALISED");
        for (int[] t : targets) {
            if (files.get(t[0]).explain(t[1]).state() != PageExplanation.State.ABSENT) {
                continue;
            }
            WritePin pin = files.get(t[0]).pinForOverwrite(t[1]);
            Dataset.fill(pin.segment(), data.word(t[0], t[1], begin(t[0], t[1])));
            if (random.nextBoolean()) {
                long before = cache.stats().validationFailures();
                pin.close();
                boolean refused = cache.stats().validationFailures() > before;
                say(refused ? "REFUSED it was given a record" : "ERROR a page without a record was written back");
            } else {
                struck(t[0], t[1]);
            }
        }
    }

    /** Of a page's blocks the first is written, and the page counts as written. */
    private void tornUpdate(List<int[]> targets) throws IOException, ReflectiveOperationException {
        broken("WRITE_BACK_TORN");
        for (int[] t : targets) {
            write(t[0], t[1], 1);
            struck(t[0], t[1]);
        }
        for (PagedFile file : files) {
            file.flush();
        }
    }

    // ---- until it is killed

    private void end() throws IOException {
        switch (text("end")) {
            case "load" -> {
                while (true) {
                    write(random.nextInt(data.files()), random.nextInt(data.pages()), random.nextInt(3));
                }
            }
            case "serve" -> {
                // The memory of a domain that gives frames back is not there to be looked at.
                boolean resizable = text("socket").isEmpty();
                new Serving(data, account, cache, files, this::map, resizable, random.nextLong()).run();
            }
            default -> {
                while (true) {
                    LockSupport.park();
                }
            }
        }
    }

    /** The options of a life, for who starts it. */
    static List<String> arguments(Map<String, String> options) {
        return options.entrySet().stream().map(e -> e.getKey() + "=" + e.getValue()).toList();
    }

    @Override
    public String toString() {
        return Arrays.toString(options.entrySet().toArray());
    }
}
