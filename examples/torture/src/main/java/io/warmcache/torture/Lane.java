/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import io.warmcache.BusyException;
import io.warmcache.CacheConfig;
import io.warmcache.DropReason;
import io.warmcache.PageCache;
import io.warmcache.Validation;
import io.warmcache.shm.ShmInspector;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * One cache and its files, and the lives that follow each other on them. After some dozens a cache is dropped and a new
 * one of another shape begun.
 */
final class Lane implements Runnable {
    private static final int LIVES_OF_A_CACHE = 50;
    private static final String BALLAST = "ballast";
    private static final Pattern TAB = Pattern.compile("\t");
    private static final String CACHE_NAME = "cache-name";

    /** Operations of a victim before its end comes, at most. */
    private static final long LONGEST = 20_000;

    private static final Duration SHORT_PATIENCE = Duration.ofMillis(1500);

    private final Campaign campaign;
    private final TortureOptions options;
    private final int number;
    private final Random random;
    private final Path directory;
    private final Surroundings surroundings;
    private final Map<Kind, String> missing = new EnumMap<>(Kind.class);
    private final List<String> history = new ArrayList<>();
    private @Nullable Path memoryGroup;

    /** Whether the last life of this cache ended in order. */
    private boolean afterClean;

    private @Nullable Path slowGroup;
    private LifePlan shape = new LifePlan();
    private int lifeOfCache;
    private Journal journal;
    private final Set<ChildProcess> children = ConcurrentHashMap.newKeySet();
    private @Nullable Life latest;

    Lane(Campaign campaign, TortureOptions options, int number) throws IOException {
        this.campaign = campaign;
        this.options = options;
        this.number = number;
        random = new Random(options.seedValue() * 1_000_003 + number);
        directory = options.out.resolve("lane-" + number);
        giveBackOfEarlierRun();
        delete(directory);
        Files.createDirectories(directory);
        journal = Journal.create(directory.resolve("journal"));
        surroundings = new Surroundings("warmcache-torture-" + ProcessHandle.current().pid() + "-" + number);
    }

    /** A run that was killed itself left its cache, and what it had mounted. */
    private void giveBackOfEarlierRun() {
        Surroundings.unmountIfMounted(directory.resolve("small"));
        dropEarlier();
    }

    /** Drops the cache that was begun last, if it is still there. */
    private void dropEarlier() {
        if (options.backend == TortureOptions.Backend.SHM) {
            try {
                String name = Files.readString(directory.resolve(CACHE_NAME));
                boolean _ = PageCache.drop(CacheConfig.of(name, 1 << 20));
            } catch (IOException | BusyException e) {
                // there was none
            }
        }
    }

    /** One life of a process. */
    private record Life(Kind kind, ChildProcess child, LifePlan plan, long operations) {
        boolean diesByItself() {
            return kind == Kind.STEP || kind == Kind.VERB;
        }
    }

    /** Runs caches, one after another, until the campaign has enough. */
    @Override
    public void run() {
        try {
            try {
                for (int cache = 0; campaign.goesOn(); cache++) {
                    runCache(cache);
                }
            } catch (HangException e) {
                fail(Campaign.Failure.HANG, latest, e.what());
            }
        } catch (FailedException e) {
            // told
        } catch (IOException | RuntimeException e) {
            campaign.broken(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            endChildren();
        }
    }

    private void endChildren() {
        children.forEach(each -> each.signal(Signals.KILL));
        children.forEach(ChildProcess::awaitDeath);
    }

    /** Gives everything back that outlives this process. */
    void close() {
        endChildren();
        surroundings.close();
        dropEarlier();
    }

    /** Ends the lane: what was found is told. */
    private static final class FailedException extends RuntimeException {
        private static final long serialVersionUID = 1;

        FailedException(String message) {
            super(message);
        }
    }

    // ---- a cache

    private void runCache(int cache) throws IOException, InterruptedException, HangException {
        surroundings.unmount(directory.resolve("small"));
        delete(directory);
        Files.createDirectories(directory.resolve("data"));
        Files.createDirectories(directory.resolve("small"));
        findOut();
        shape = shape(cache);
        Files.writeString(directory.resolve(CACHE_NAME), shape.text("cache"));
        long salt = shape.number("salt");
        Path journalFile = directory.resolve("journal");
        journal = Journal.create(journalFile);
        Oracle oracle = new Oracle(journal, directory, salt);
        history.clear();
        lifeOfCache = 0;
        afterClean = false;
        boolean formatted = false;
        Life life = prepare();
        life.child.tell("OPEN");
        while (true) {
            latest = life;
            String checked = life.child.await("CHECKED", ChildProcess.PATIENCE);
            if (checked != null) {
                count(life, checked, formatted);
                formatted = true;
            } else {
                requireDeathBySwitch(life, "it ended before it had compared what it found");
                Life next = prepare();
                next.child.tell("OPEN");
                ended(life);
                life = next;
                continue;
            }
            copyOf(journalFile);
            long before = oracle.bytes();
            List<String> problems = oracle.check();
            campaign.sums().storeBytesCompared += oracle.bytes() - before;
            if (!problems.isEmpty()) {
                fail(Campaign.Failure.WRONG, life, "the store is not what was written:\n"
                        + String.join("\n", problems));
            }
            if (lifeOfCache >= LIVES_OF_A_CACHE || !campaign.goesOn()) {
                drop(life);
                return;
            }
            Life next = live(life);
            life = next;
        }
    }

    /** Looks what can be done to a victim here. */
    private void findOut() {
        boolean xen = options.backend == TortureOptions.Backend.XEN;
        missing.clear();
        if (xen) {
            missing.put(Kind.STEP, "the steps within the back end are the daemon's: VERB has those around them");
            missing.put(Kind.SLOW_DISK, "the disk is the daemon's, which all victims share");
        }
        try {
            surroundings.mount(directory.resolve("small"), "6m");
        } catch (IOException e) {
            missing.put(Kind.FULL_DISK, "no small file system: " + e.getMessage());
            missing.put(Kind.FULL_MEMORY, "no small file system: " + e.getMessage());
        }
        if (xen) {
            missing.remove(Kind.FULL_MEMORY);
        }
        try {
            if (memoryGroup == null) {
                memoryGroup = surroundings.memoryGroup(96 << 20);
            }
        } catch (IOException e) {
            missing.put(Kind.OOM, "no control group: " + e.getMessage());
        }
        try {
            if (slowGroup == null && !xen) {
                slowGroup = surroundings.slowDiskGroup(directory, 4 << 20);
            }
        } catch (IOException e) {
            missing.put(Kind.SLOW_DISK, "no control group: " + e.getMessage());
        }
    }

    private LifePlan shape(int cache) {
        int pageSize = options.pageSize > 0 ? options.pageSize : 4096 << Math.max(0, random.nextInt(7) - 2);
        long frames = Math.max(64, ((2L << 20) + random.nextInt(3 << 20)) / pageSize);
        LifePlan plan = new LifePlan()
                .with("cache", "torture-" + ProcessHandle.current().pid() + "-" + number + "-" + cache)
                .with("backend", options.backend.name().toLowerCase(Locale.ROOT))
                .with("directory", directory)
                .with("salt", random.nextLong())
                .with("pageSize", pageSize)
                .with("capacity", frames * pageSize)
                .with("maxCapacity", 2 * frames * pageSize)
                .with("checksum", random.nextInt(4) == 0 ? "crc32c" : "xxh64");
        campaign.complete(plan);
        return plan;
    }

    private static void delete(Path top) throws IOException {
        if (!Files.exists(top)) {
            return;
        }
        Files.walkFileTree(top, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.delete(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path each, @Nullable IOException e) throws IOException {
                Files.delete(each);
                return FileVisitResult.CONTINUE;
            }
        });
    }

    private void copyOf(Path journal) throws IOException {
        Files.copy(journal, directory.resolve("journal.found"), StandardCopyOption.REPLACE_EXISTING);
    }

    // ---- a life

    /** Starts the next process, which waits to be told. */
    private Life prepare() throws IOException {
        lifeOfCache++;
        Kind kind = kind();
        List<String> jvm = new ArrayList<>();
        LifePlan plan = new LifePlan(shape.arguments().toArray(String[]::new))
                .with("seed", random.nextLong())
                .with("threads", 1 + random.nextInt(4))
                .with("managed", random.nextInt(10) == 0)
                .with("virtual", random.nextInt(4) == 0)
                .with("readAll", random.nextInt(4) == 0)
                .with("quiesce", random.nextInt(2) == 0)
                .with("validation", validation())
                .with("kind", kind);
        switch (kind) {
            // as often in the first steps, those of the attach, as in ten times as many later
            case STEP -> jvm.add("-Dwarmcache.shm.dieAtStep=" + (long) Math.exp(random.nextDouble(Math.log(20000))));
            case VERB -> plan.with("dieAtVerb", (long) Math.exp(random.nextDouble(Math.log(6000))));
            case EIO -> plan.with("fault", TortureStore.Fault.EIO);
            case SHORT -> plan.with("fault", TortureStore.Fault.SHORT);
            case FULL_STORE -> plan.with("fault", TortureStore.Fault.FULL);
            case SLOW_STORE -> plan.with("fault", TortureStore.Fault.SLOW);
            case FULL_DISK -> plan.with("full", true);
            case OOM -> jvm.add("-XX:MaxDirectMemorySize=1g");
            default -> {}
        }
        if (!plan.text("mutation").isEmpty()) {
            jvm.add("-Dwarmcache.core.breakable=true");
        }
        long operations = (long) Math.exp(random.nextDouble(Math.log(LONGEST)));
        ChildProcess child = campaign.jvm().start(plan, List.of(), jvm.toArray(String[]::new));
        children.removeIf(each -> !each.isAlive());
        children.add(child);
        Life life = new Life(kind, child, plan, operations);
        history.add("life " + lifeOfCache + " pid " + life.child.pid() + " " + plan + " " + jvm);
        return life;
    }

    private Validation validation() {
        return options.verify == null ? random.nextBoolean() ? Validation.LAZY : Validation.EAGER : options.verify;
    }

    private Kind kind() throws IOException {
        int all = 0;
        for (Kind each : Kind.values()) {
            all += each.weight;
        }
        int left = random.nextInt(all);
        Kind drawn = Kind.KILL;
        for (Kind each : Kind.values()) {
            left -= each.weight;
            if (left < 0) {
                drawn = each;
                break;
            }
        }
        String why = missing.get(drawn);
        if (why != null) {
            synchronized (campaign.tally()) {
                Tally.count(campaign.sums().skipped, drawn + ": " + why);
            }
            return Kind.KILL;
        }
        return drawn;
    }

    /** Lets a victim work and ends it; its successor is told at once. */
    private Life live(Life life) throws IOException, InterruptedException, HangException {
        Path ballast = directory.resolve("small").resolve(BALLAST);
        if (life.kind == Kind.FULL_DISK) {
            fill(ballast);
        }
        if (life.kind == Kind.SLOW_DISK && slowGroup != null) {
            Surroundings.enter(slowGroup, life.child.pid());
        }
        if (life.kind == Kind.FULL_MEMORY) {
            tryWithoutMemory();
        }
        life.child.tell("LOAD");
        if (life.child.await("LOADING", ChildProcess.PATIENCE) == null) {
            requireDeathBySwitch(life, "it ended before its load began");
        }
        Life next = prepare();
        long begun = journal.progress();
        awaitOperations(life, begun + life.operations, SHORT_PATIENCE);
        switch (life.kind) {
            case CLEAN -> {
                life.child.tell("CLOSE");
                String closed = life.child.await("CLOSED", ChildProcess.PATIENCE);
                if (closed == null) {
                    fail(Campaign.Failure.RESTART, life, "it ended before it was closed");
                }
            }
            case STEP, VERB -> {
                awaitOperations(life, begun + LONGEST, SHORT_PATIENCE);
                if (!life.child.isAlive()) {
                    campaign.sums().killsByOwnSwitch++;
                }
                life.child.signal(Signals.KILL);
            }
            case STOP -> {
                life.child.signal(Signals.STOP);
                pause(5 + random.nextInt(40));
                life.child.signal(Signals.CONT);
                pause(random.nextInt(30));
                life.child.signal(Signals.KILL);
            }
            case TAKEOVER -> {
                life.child.signal(Signals.STOP);
                next.child.tell("OPEN");
                pause(50 + random.nextInt(150));
                if (next.child.hasSaid("OPENED") && life.child.isAlive()) {
                    fail(Campaign.Failure.WRONG, next, "the cache was opened while its owner lived, stopped");
                }
                life.child.signal(Signals.KILL);
            }
            case OOM -> {
                long kills = memoryGroup == null ? 0 : Surroundings.outOfMemoryKills(memoryGroup);
                if (memoryGroup != null) {
                    Surroundings.enter(memoryGroup, life.child.pid());
                }
                life.child.tell("BALLOON");
                long deadline = System.nanoTime() + ChildProcess.PATIENCE.toNanos();
                while (life.child.isAlive() && System.nanoTime() - deadline < 0) {
                    pause(2);
                }
                if (memoryGroup != null && Surroundings.outOfMemoryKills(memoryGroup) == kills) {
                    synchronized (campaign.tally()) {
                        Tally.count(campaign.sums().skipped, "OOM: the kernel did not kill it");
                    }
                }
                life.child.signal(Signals.KILL);
            }
            case ABORT -> life.child.signal(Signals.ABRT);
            default -> life.child.signal(Signals.KILL);
        }
        campaign.sums().operations += Math.max(0, journal.progress() - begun);
        if (life.kind != Kind.TAKEOVER && life.kind != Kind.CLEAN) {
            next.child.tell("OPEN");
        }
        ended(life);
        if (life.kind == Kind.CLEAN) {
            next.child.tell("OPEN");
        }
        Files.deleteIfExists(ballast);
        return next;
    }

    /** Waits until a victim has done some work, or is dead; not for long, since the machine may be busy with others. */
    private void awaitOperations(Life life, long until, Duration patience) {
        long deadline = System.nanoTime() + patience.toNanos();
        while (life.child.isAlive() && journal.progress() < until && System.nanoTime() - deadline < 0) {
            pause(1);
        }
    }

    private static void pause(int millis) {
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(millis));
    }

    /** Takes almost all that is left of the small file system. */
    private void fill(Path ballast) throws IOException {
        long left = Files.getFileStore(ballast.getParent()).getUsableSpace() - 64 * 1024;
        Files.write(ballast, new byte[(int) Math.max(0, left)]);
    }

    /** A cache that finds no room for its memory says so, and leaves nothing behind. */
    private void tryWithoutMemory() throws IOException, InterruptedException, HangException {
        boolean xen = options.backend == TortureOptions.Backend.XEN;
        Path segment = directory.resolve("small").resolve("segment");
        LifePlan plan = new LifePlan(shape.arguments().toArray(String[]::new))
                .with("validation", Validation.LAZY)
                .with("maxCapacity", 0)
                .with("capacity", xen ? 1L << 30 : 32L << 20);
        plan.with("cache", xen ? plan.text("cache") + "-large" : segment);
        ChildProcess child = campaign.jvm().start(plan, List.of());
        child.tell("OPEN");
        String opened = child.await("OPENED", ChildProcess.PATIENCE);
        if (opened != null) {
            child.signal(Signals.KILL);
        }
        child.awaitEnd(ChildProcess.PATIENCE);
        Life life = new Life(Kind.FULL_MEMORY, child, plan, 0);
        boolean clear = child.complaints().size() == 1
                && child.complaints().getFirst().matches("FAILED\t(java.io.IOException|io.warmcache.[A-Za-z]+): .*");
        if (opened != null || !clear) {
            fail(Campaign.Failure.RESTART, life, "a cache for which there is no memory was not refused clearly");
        }
        if (Files.exists(segment)) {
            fail(Campaign.Failure.SEGMENT, life, "a cache that could not be opened left " + segment);
        }
    }

    /** A victim that is dead already must have been told to kill itself. */
    private void requireDeathBySwitch(Life life, String what) throws InterruptedException, HangException {
        life.child.awaitEnd(ChildProcess.PATIENCE);
        if (life.diesByItself() && life.child.exitValue() == 128 + Signals.KILL) {
            campaign.sums().killsByOwnSwitch++;
        } else {
            fail(
                    life.child.complaints().stream().anyMatch(each -> each.startsWith("WRONG"))
                            ? Campaign.Failure.WRONG
                            : Campaign.Failure.RESTART,
                    life,
                    what + ", exit status " + life.child.exitValue());
        }
    }

    /** Accounts for a life that is over, or is just about to be. */
    private void ended(Life life) throws InterruptedException, IOException, HangException {
        life.child.awaitEnd(ChildProcess.PATIENCE);
        for (String complaint : life.child.complaints()) {
            fail(
                    complaint.startsWith("WRONG")
                            ? Campaign.Failure.WRONG
                            : complaint.startsWith("LEAK\tpins") ? Campaign.Failure.PINS : Campaign.Failure.RESTART,
                    life,
                    complaint);
        }
        int right =
                switch (life.kind) {
                    case CLEAN -> 0;
                    case ABORT -> 128 + Signals.ABRT;
                    default -> 128 + Signals.KILL;
                };
        if (life.child.exitValue() != right) {
            fail(Campaign.Failure.RESTART, life, "its exit status was " + life.child.exitValue() + ", not " + right);
        }
        afterClean = life.kind == Kind.CLEAN;
        campaign.ended(life.kind);
    }

    /** Nothing damages memory here, and no page is ever in two frames. */
    private static final List<DropReason> NEVER =
            List.of(DropReason.RECORD_DAMAGED, DropReason.CHECKSUM, DropReason.DUPLICATE);

    private static final List<DropReason> NEVER_AFTER_A_CLOSE = Stream.concat(
                    NEVER.stream(), Stream.of(DropReason.FILLING, DropReason.DIRTY, DropReason.UNFORCED))
            .toList();

    private void count(Life life, String checked, boolean formatted) {
        Tally.Sums sums = campaign.sums();
        synchronized (campaign.tally()) {
            sums.restarts += formatted ? 1 : 0;
            for (String each : TAB.split(checked.substring(checked.indexOf('\t') + 1), -1)) {
                int equals = each.indexOf('=');
                String key = each.substring(0, equals);
                String value = each.substring(equals + 1);
                switch (key) {
                    case "warm" -> sums.warmRestarts += formatted && value.equals("true") ? 1 : 0;
                    case "pages" -> sums.residentPagesCompared += Long.parseLong(value);
                    case "bytes" -> sums.residentBytesCompared += Long.parseLong(value);
                    case "waitMillis" -> sums.ownerWaits += Long.parseLong(value) > 0 ? 1 : 0;
                    default -> countSome(sums, key, value);
                }
            }
        }
        if (formatted && checked.contains("\twarm=false\t")) {
            fail(Campaign.Failure.RESTART, life, "a restart was cold: " + checked);
        }
        if (formatted && afterClean && !checked.contains("\tclean=true\t")) {
            fail(Campaign.Failure.RESTART, life, "an orderly close was taken for a death: " + checked);
        }
        for (DropReason reason : afterClean ? NEVER_AFTER_A_CLOSE : NEVER) {
            if (checked.contains("\tdrop." + reason + "=")) {
                fail(Campaign.Failure.WRONG, life, "frames were dropped that no kill may leave: " + checked);
            }
        }
        if (!checked.contains("\tchecksumFailures=0")) {
            fail(Campaign.Failure.WRONG, life, "a frame was taken for clean and did not match: " + checked);
        }
        int leak = checked.indexOf("\tleak=");
        if (leak >= 0) {
            fail(Campaign.Failure.FRAMES, life, checked.substring(leak + 1));
        }
    }

    private static void countSome(Tally.Sums sums, String key, String value) {
        if (key.startsWith("drop.")) {
            sums.droppedFrames.merge(key.substring(5), Long.parseLong(value), Long::sum);
        } else if (key.startsWith("gate.")) {
            Tally.count(sums.gateVerdicts, key.substring(5));
        } else if (key.equals("cold") && !value.isEmpty()) {
            Tally.count(sums.coldReasons, value);
        }
    }

    /** The last life of a cache: nothing may be left of it. */
    private void drop(Life life) throws IOException, InterruptedException, HangException {
        life.child.tell("DROP");
        if (life.child.await("DROPPED", ChildProcess.PATIENCE) == null) {
            requireDeathBySwitch(life, "it ended before it had dropped its cache");
            CacheConfig config = life.plan.config();
            if (!PageCache.drop(config)) {
                fail(Campaign.Failure.RESTART, life, "a killed cache could not be dropped");
            }
        }
        life.child.awaitEnd(ChildProcess.PATIENCE);
        try (Stream<Path> segments = Files.list(Path.of("/dev/shm"))) {
            List<Path> left = segments.filter(each -> each.toString().contains(shape.text("cache"))).toList();
            if (!left.isEmpty()) {
                fail(Campaign.Failure.SEGMENT, life, "the dropped cache left " + left);
            }
        }
        Set<String> known = new TreeSet<>();
        for (SlotSpec spec : SlotSpec.ALL) {
            known.add(spec.name());
            known.add(spec.name() + ".link");
        }
        for (String folder : List.of("data", "small")) {
            try (Stream<Path> files = Files.list(directory.resolve(folder))) {
                List<Path> left = files.filter(each -> !known.contains(each.getFileName().toString())).toList();
                if (!left.isEmpty()) {
                    fail(Campaign.Failure.FILE, life, "there are files that nobody made: " + left);
                }
            }
        }
    }

    /** Keeps what there is to be looked at, counts it, and ends the lane. */
    private void fail(Campaign.Failure failure, @Nullable Life life, String what) {
        if (campaign.isEnding() || (life != null && wasInterrupted(life))) {
            if (life != null && !campaign.isEnding()) {
                System.err.println("torture: somebody else ended pid " + life.child.pid() + ", exit status "
                        + life.child.exitValue() + ": the campaign ends here, and can go on");
            }
            campaign.stop();
            throw new FailedException("the victim was told to end by somebody else, as by Ctrl-C");
        }
        StringBuilder report = new StringBuilder();
        report.append(failure).append(": ").append(what).append("\n\nseed ").append(options.seedValue());
        report.append(", lane ").append(number).append(", cache ").append(shape.text("cache"));
        report.append(", life ").append(lifeOfCache).append(" of it\n");
        if (life != null) {
            life.child.signal(Signals.KILL);
            report.append("\nits plan: ").append(life.plan).append("\nits output:\n").append(life.child.output());
        }
        report.append("\n\nlives of this cache:\n").append(String.join("\n", history)).append('\n');
        campaign.failed(failure, report.toString(), what, this::keepEvidence);
        throw new FailedException(what);
    }

    /** Whether a signal ended it that no campaign sends: one to the whole group of processes. */
    private static boolean wasInterrupted(Life life) {
        if (life.child.isAlive()) {
            return false;
        }
        int status = life.child.exitValue();
        return status == 128 + Signals.INT || status == 128 + Signals.TERM;
    }

    private void keepEvidence(Path to) throws IOException {
        copyTree(directory, to.resolve("lane"));
        if (options.backend == TortureOptions.Backend.SHM) {
            CacheConfig config = shape.with("validation", Validation.LAZY).config();
            try {
                Path segment = Path.of(ShmInspector.inspect(config).path());
                Files.copy(segment, to.resolve("segment"), StandardCopyOption.REPLACE_EXISTING);
                boolean _ = PageCache.drop(config.withOwnerWait(Duration.ofSeconds(60)));
            } catch (IOException | BusyException e) {
                Files.writeString(to.resolve("no-segment"), e.toString());
            }
        }
    }

    private static void copyTree(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.walk(from)) {
            for (Path each : (Iterable<Path>) files::iterator) {
                Path target = to.resolve(from.relativize(each).toString());
                if (Files.isDirectory(each)) {
                    Files.createDirectories(target);
                } else if (!each.toString().endsWith(BALLAST)) {
                    Files.copy(each, target, StandardCopyOption.REPLACE_EXISTING);
                }
            }
        }
    }
}
