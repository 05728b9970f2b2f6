/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import io.warmcache.PageCache;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/**
 * The process that is killed. It is told what to do by lines on its standard input, and answers by lines:
 *
 * <pre>
 *           BOOTED
 * OPEN      CHECKED key=value...    attached, every resident page compared with the store
 * LOAD      LOADING                 until it is killed
 * BALLOON                           takes memory without end
 * CLOSE     CLOSED                  orderly
 * DROP      DROPPED                 orderly, and the memory is gone
 *           WRONG text              something was served that must not have been
 *           FAILED text             something was thrown that must not have been
 * </pre>
 */
final class Victim {
    private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(60);

    private final LifePlan plan;
    private final PrintStream out;
    private final TortureStore.Fault fault;
    private final List<Thread> workers = new ArrayList<>();
    private final List<ByteBuffer> balloon = new ArrayList<>();
    private volatile boolean stopping;

    private Victim(LifePlan plan, PrintStream out) {
        this.plan = plan;
        this.out = out;
        fault = plan.text("fault").isEmpty()
                ? TortureStore.Fault.NONE
                : TortureStore.Fault.valueOf(plan.text("fault"));
    }

    /** Arguments: a {@link LifePlan}. Ends with its standard input. */
    public static void main(String[] arguments) throws IOException {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        Victim victim = new Victim(new LifePlan(arguments), out);
        try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            victim.live(in);
        } catch (Throwable t) {
            victim.failed(t);
        }
        // orphaned, or done: nothing of what is open is to be closed in order
        Runtime.getRuntime().halt(0);
    }

    boolean stopping() {
        return stopping;
    }

    private void live(BufferedReader in) throws Exception {
        out.println("BOOTED");
        if (!"OPEN".equals(in.readLine())) {
            return;
        }
        mutate();
        Journal journal = Journal.open(plan.directory().resolve("journal"));
        try (PageCache cache = PageCache.open(plan.config())) {
            out.println("OPENED");
            List<Slot> slots = new ArrayList<>();
            for (int i = 0; i < SlotSpec.ALL.size(); i++) {
                Slot slot = new Slot(i, cache, journal, plan);
                slots.add(slot);
                slot.map();
            }
            out.println("CHECKED\t" + new ResidentCheck(cache, slots, plan).run());
            String line;
            while ((line = in.readLine()) != null) {
                switch (line) {
                    case "LOAD" -> load(cache, slots, journal);
                    case "BALLOON" -> Thread.ofPlatform().start(this::inflate);
                    case "CLOSE" -> {
                        close(cache, slots, journal);
                        // in order, so that a training run leaves its AOT cache
                        System.exit(0);
                    }
                    case "DROP" -> {
                        cache.drop();
                        out.println("DROPPED");
                        return;
                    }
                    default -> throw new IllegalArgumentException(line);
                }
            }
            Runtime.getRuntime().halt(9);
        }
    }

    private void load(PageCache cache, List<Slot> slots, Journal journal) {
        Worker filler = new Worker(this, cache, slots, journal, plan, -1);
        for (Slot slot : slots) {
            if (slot.file().size() == 0) {
                try {
                    filler.populate(slot);
                } catch (IOException e) {
                    expected(slot, e);
                }
            }
            slot.fault(fault);
        }
        for (int number = 0; number < plan.number("threads"); number++) {
            Worker worker = new Worker(this, cache, slots, journal, plan, number);
            Thread thread = plan.is("virtual") && number > 0
                    ? Thread.ofVirtual().name("worker-" + number).unstarted(worker)
                    : Thread.ofPlatform().name("worker-" + number).unstarted(worker);
            workers.add(thread);
        }
        workers.forEach(Thread::start);
        out.println("LOADING");
    }

    private void close(PageCache cache, List<Slot> slots, Journal journal) throws Exception {
        stopping = true;
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        for (Thread worker : workers) {
            worker.join(Math.max(1, TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime())));
            if (worker.isAlive()) {
                throw new IllegalStateException("worker " + worker.getName() + " does not stop: a hang");
            }
        }
        for (Slot slot : slots) {
            slot.fault(TortureStore.Fault.NONE);
        }
        for (Slot slot : slots) {
            for (long page = 0; page < slot.file().pages(); page++) {
                int pins = slot.file().explain(page).pins();
                if (pins > 0) {
                    out.println("LEAK\tpins=" + pins + "\tpage " + page + " of " + slot.spec.name());
                }
            }
        }
        checkHealth(cache);
        for (String problem : problems(cache)) {
            out.println("WRONG\tafter all work ended: " + problem);
        }
        cache.close();
        Journal.fence();
        for (Slot slot : slots) {
            if (!slot.given) {
                for (int unit = 0; unit < Journal.UNITS; unit++) {
                    int acked = journal.get(slot.index, unit, Journal.Field.ACKED);
                    if (acked > journal.get(slot.index, unit, Journal.Field.FLOOR)) {
                        journal.set(slot.index, unit, Journal.Field.FLOOR, acked);
                    }
                }
            }
        }
        out.println("CLOSED");
    }

    /**
     * The core's own check of its whole structure, which is no part of what it exports; with nobody else at work.
     */
    private static Set<String> problems(PageCache cache) throws ReflectiveOperationException {
        Field field = cache.getClass().getDeclaredField("maintenance");
        field.setAccessible(true);
        Object maintenance = field.get(cache);
        Method stop = maintenance.getClass().getDeclaredMethod("stop");
        stop.setAccessible(true);
        stop.invoke(maintenance);
        Method problems = cache.getClass().getDeclaredMethod("problems");
        problems.setAccessible(true);
        @SuppressWarnings("unchecked") // its declared type
        Set<String> found = (Set<String>) problems.invoke(cache);
        return found;
    }

    /** Breaks a rule of the core, if that is asked for: to see that it is found. */
    private void mutate() throws ReflectiveOperationException {
        String name = plan.text("mutation");
        if (!name.isEmpty()) {
            Class<?> mutations = Class.forName("io.warmcache.core.Mutation");
            Method turnOn = mutations.getDeclaredMethod("turnOn", mutations);
            turnOn.setAccessible(true);
            for (Object each : mutations.getEnumConstants()) {
                if (each.toString().equals(name)) {
                    turnOn.invoke(null, each);
                }
            }
        }
    }

    /** Takes memory until there is none. */
    private void inflate() {
        while (true) {
            ByteBuffer more = ByteBuffer.allocateDirect(4 << 20);
            for (int at = 0; at < more.capacity(); at += 4096) {
                more.put(at, (byte) 1);
            }
            balloon.add(more);
        }
    }

    /** A failure of what works in the background reaches no caller. */
    void checkHealth(PageCache cache) {
        if (fault == TortureStore.Fault.NONE && !plan.is("full") && !cache.health().healthy()) {
            throw new WrongException("nothing fails here, but the cache says: " + cache.health().problems());
        }
    }

    /** A failure that is no error where it was asked for. */
    void expected(Slot slot, Throwable t) {
        boolean custom = slot.spec.custom()
                && (fault == TortureStore.Fault.EIO || fault == TortureStore.Fault.FULL);
        if (!custom && !(slot.spec.small() && plan.is("full"))) {
            failed(t);
        }
    }

    /** A failure of a call that is about all files. */
    void expectedOfAny(Throwable t) {
        if (fault != TortureStore.Fault.EIO && fault != TortureStore.Fault.FULL && !plan.is("full")) {
            failed(t);
        }
    }

    /** Says what must not have happened, and ends the process. */
    void failed(Throwable t) {
        synchronized (out) {
            out.println((t instanceof WrongException ? "WRONG\t" : "FAILED\t") + t);
            t.printStackTrace(out);
            out.println("END");
        }
        Runtime.getRuntime().halt(3);
    }
}
