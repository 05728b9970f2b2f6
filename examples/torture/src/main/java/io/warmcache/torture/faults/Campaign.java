/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import io.warmcache.spi.FrameState;
import io.warmcache.torture.faults.Strike.Target;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/** Breaks one kind of thing after another between the lives of a cache, and judges what the next life serves. */
final class Campaign {
    /** Breaks that share a restart. */
    private static final int BATCH = 20;

    /** Kinds that hit single frames or their records. */
    private static final List<Kind> ON_FRAMES = List.of(
            Kind.BIT_FLIPS,
            Kind.RECORD_FLIPS,
            Kind.WILD_STORE,
            Kind.OFF_BY_ONE,
            Kind.COPY_OVERRUN,
            Kind.UNINITIALISED_RECORD,
            Kind.SWAPPED_FRAMES,
            Kind.OLD_CONTENT,
            Kind.WRONG_KEY,
            Kind.TORN_UPDATE);

    /** Rules that lives break, one each; the last one breaks none. */
    private static final List<String> RULES = List.of("fence", "latch", "evict", "record", "torn", "");

    private final boolean xen;
    private final PrintStream out;

    /** Pages served wrong, with all that is known of them. */
    final List<String> findings = new ArrayList<>();

    /** When to begin no further life, as of {@link System#nanoTime}. */
    private final long deadline;

    Campaign(boolean xen, PrintStream out, long deadline) {
        this.xen = xen;
        this.out = out;
        this.deadline = deadline;
    }

    private boolean isOver() {
        return System.nanoTime() - deadline >= 0;
    }

    /** Lives that are needed for {@link Kind#DECAY}: each of the rates three times. */
    private static int leastLives(int count) {
        return count < 50 ? 2 : 21;
    }

    /** Whether there are enough breaks of a kind. */
    boolean isDone(Kind kind, Tally tally, int count) {
        return tally.injected >= count && (kind != Kind.DECAY || tally.decayed >= leastLives(count));
    }

    /** What is to be made of the lives of one cache: breaks, and what the next life is started with. */
    private interface Round {
        List<Strike> strike(Lab lab, Child child) throws IOException, InterruptedException;
    }

    /** Adds breaks of one kind to a tally until there are enough, or time is over: then what was broken was judged. */
    void run(Kind kind, int count, long seed, Tally tally) throws IOException, InterruptedException {
        Random random = new Random(seed ^ kind.number * 0x9E3779B97F4A7C15L ^ (long) tally.restarts << 20);
        switch (kind) {
            case BIT_FLIPS, OFF_BY_ONE, COPY_OVERRUN, SWAPPED_FRAMES, OLD_CONTENT, WRONG_KEY ->
                frames(kind, count, tally, random);
            case RECORD_FLIPS -> {
                frames(kind, xen ? count : count - count / 5, tally, random);
                if (!xen) {
                    rounds(tally, count, random, Map.of(), (lab, child) -> segment(lab, m ->
                            SegmentFaults.header(m, random)));
                }
            }
            case WILD_STORE -> {
                frames(kind, xen ? count : count - count / 20, tally, random);
                if (!xen) {
                    rounds(tally, count, random, Map.of(), (lab, child) -> segment(lab, m ->
                            SegmentFaults.anywhere(m, random)));
                }
            }
            case ELIDED_LATCH -> {
                broken(tally, count / 2, random, "fence", "WRITE_THROUGH");
                broken(tally, count, random, "latch", "WRITE_BACK");
            }
            case USE_AFTER_EVICT -> broken(tally, count, random, "evict", "WRITE_THROUGH");
            case UNINITIALISED_RECORD -> {
                broken(tally, count / 2, random, "record", "WRITE_THROUGH");
                frames(kind, count, tally, random);
            }
            case TORN_UPDATE -> {
                broken(tally, count / 2, random, "torn", "WRITE_BACK");
                frames(kind, count, tally, random);
            }
            case SEGMENT -> {
                if (xen) {
                    rounds(tally, count, random, Map.of(), (lab, child) -> {
                        try (Remains m = lab.remains()) {
                            return SegmentFaults.shapeOfDomain(m, new MemoryFaults(lab.data, random), random);
                        }
                    });
                } else {
                    rounds(tally, count, random, Map.of("churn", "20"), (lab, child) ->
                            List.of(SegmentFaults.shape(lab.segment(), random)));
                }
            }
            case DECAY -> decay(tally, count, random);
            case STORE_CHANGED -> stores(tally, count, random);
        }
    }

    private interface OnSegment {
        Strike strike(ShmRemains m);
    }

    private static List<Strike> segment(Lab lab, OnSegment fault) throws IOException {
        try (Remains m = lab.remains()) {
            return List.of(fault.strike((ShmRemains) m));
        }
    }

    private void frames(Kind kind, int until, Tally tally, Random random) throws IOException, InterruptedException {
        MemoryFaults[] faults = new MemoryFaults[1];
        rounds(tally, until, random, Map.of(), (lab, child) -> {
            MemoryFaults f = faults[0];
            if (f == null) {
                f = new MemoryFaults(lab.data, random);
                faults[0] = f;
            }
            try (Remains m = lab.remains()) {
                List<Strike> strikes = f.strike(kind, Math.min(BATCH, until - tally.injected), m);
                if (kind == Kind.OLD_CONTENT) {
                    f.remember(m);
                }
                return strikes;
            }
        });
    }

    private void broken(Tally tally, int until, Random random, String rule, String policy)
            throws IOException, InterruptedException {
        Map<String, String> options =
                Map.of("break", rule + ":" + Math.min(BATCH, until), "policy", policy, "churn", "100");
        rounds(tally, until, random, options, (lab, child) -> struck(rule, child));
    }

    /** What a life broke itself, as it said. */
    private static List<Strike> struck(String rule, Child child) {
        List<Strike> strikes = new ArrayList<>();
        for (String line : child.said) {
            String[] words = line.split(" ", 3);
            switch (words[0]) {
                case "STRUCK" -> strikes.add(Strike.at(
                        "switch: " + rule,
                        new Target(Integer.parseInt(words[1]), Long.parseLong(words[2]))));
                case "REFUSED" ->
                    strikes.add(new Strike("switch: " + rule + ", write refused", List.of(), "refused"));
                case "HARMLESS" -> strikes.add(Strike.harmless("switch: " + rule, line.substring(9)));
                default -> {}
            }
        }
        return strikes;
    }

    private void decay(Tally tally, int count, Random random) throws IOException, InterruptedException {
        int least = leastLives(count);
        try (Lab lab = count < 50 ? new Lab(xen, 20, 8, 8192, null) : new Lab(xen, 8, 256, 8192, null)) {
            Enough enough = () -> tally.injected >= count && tally.decayed >= least;
            rounds(lab, tally, random, Map.of(), enough, (l, child) -> {
                int decade = count < 50 ? 3 + tally.decayed : 3 + tally.decayed % 7;
                tally.decayed++;
                try (Remains m = lab.remains()) {
                    boolean fromOne = random.nextBoolean();
                    List<Strike> strikes =
                            new MemoryFaults(lab.data, random).decay(m, Math.pow(10, -decade), fromOne);
                    String what = "at 1e-" + decade;
                    return strikes.stream()
                            .map(s -> new Strike(what, s.targets(), s.harmless()))
                            .toList();
                }
            });
        }
    }

    private void stores(Tally tally, int count, Random random) throws IOException, InterruptedException {
        int inPlace = count * 3 / 5;
        if (tally.injected < inPlace) {
            storesInPlace(tally, inPlace, random);
        }
        int restored = count - Math.max(1, count / 5);
        if (tally.injected < restored && !isOver()) {
            restores(tally, restored, random);
        }
        if (tally.injected < count && !isOver()) {
            remounts(tally, count, random);
        }
    }

    private void storesInPlace(Tally tally, int inPlace, Random random) throws IOException, InterruptedException {
        try (Lab lab = new Lab(xen, 20, 8, 8192, null)) {
            StoreFaults faults = new StoreFaults(lab.data, random);
            rounds(lab, tally, random, Map.of(), () -> tally.injected >= inPlace, (l, child) ->
                    faults.change(Math.min(12, inPlace - tally.injected)));
        }
    }

    /** The files lie in an overlay, which is mounted anew. */
    private void remounts(Tally tally, int count, Random random) throws IOException, InterruptedException {
        try (Overlay overlay = new Overlay()) {
            Path data = overlay.merged().resolve("data");
            try (Lab lab = new Lab(xen, 20, 8, 8192, data)) {
                StoreFaults faults = new StoreFaults(lab.data, random);
                rounds(lab, tally, random, Map.of(), () -> tally.injected >= count, (l, child) -> {
                    List<Strike> strikes = new ArrayList<>();
                    overlay.unmount();
                    try {
                        for (int f = 0; f < lab.data.files() && tally.injected + strikes.size() < count; f++) {
                            boolean changed = random.nextBoolean();
                            if (changed) {
                                faults.overwrite(overlay.upper().resolve("data/f" + f), true);
                            }
                            strikes.add(faults.strike(
                                    f, changed ? "overlay remounted, changed meanwhile" : "overlay remounted"));
                        }
                    } finally {
                        overlay.mount();
                    }
                    return strikes;
                });
            }
        } catch (IOException e) {
            if (!String.valueOf(e.getMessage()).startsWith("mount")) {
                throw e;
            }
            tally.reason("overlay remount skipped: " + e.getMessage(), 1);
        }
    }

    /** A few breaks of every kind in few lives: each life breaks a rule, and is killed and its remains are broken. */
    Tally mixed(int each, long seed) throws IOException, InterruptedException {
        Tally tally = new Tally();
        Random random = new Random(seed);
        try (Lab lab = new Lab(xen, 20, 8, 8192, null)) {
            MemoryFaults faults = new MemoryFaults(lab.data, random);
            StoreFaults stores = new StoreFaults(lab.data, random);
            int[] round = {0};
            Options options = () -> {
                String rule = RULES.get(Math.min(round[0], RULES.size() - 1));
                return Map.of(
                        "break", rule.isEmpty() ? "" : rule + ":" + each,
                        "policy", rule.equals("latch") || rule.equals("torn") ? "WRITE_BACK" : "WRITE_THROUGH",
                        "end", rule.isEmpty() ? "load" : "idle",
                        "churn", "100");
            };
            rounds(
                    lab,
                    tally,
                    random,
                    options,
                    () -> round[0] == RULES.size(),
                    (l, child) -> {
                        String rule = RULES.get(round[0]);
                        List<Strike> strikes = new ArrayList<>(struck(rule, child));
                        strikes.addAll(mixed(rule, each, lab, faults, stores, random));
                        round[0]++;
                        return strikes;
                    },
                    child -> RULES.get(round[0]).isEmpty()
                            ? restore(stores, lab.data, child, 2, tally, random)
                            : List.of());
        }
        return tally;
    }

    /** What is broken after a life that broke a rule. */
    private List<Strike> mixed(
            String rule, int each, Lab lab, MemoryFaults faults, StoreFaults stores, Random random)
            throws IOException {
        List<Strike> strikes = new ArrayList<>();
        try (Remains m = lab.remains()) {
            switch (rule) {
                case "" -> {
                    if (xen) {
                        strikes.addAll(SegmentFaults.shapeOfDomain(m, faults, random));
                    } else {
                        strikes.add(SegmentFaults.shape(lab.segment(), random));
                    }
                    return strikes; // there may be no memory left to look at
                }
                case "torn" -> strikes.addAll(faults.decay(m, 1e-5, random.nextBoolean()));
                default -> {
                    Deque<MemoryFaults.Frame> frames = new ArrayDeque<>(faults.frames(m));
                    for (Kind kind : ON_FRAMES) {
                        strikes.addAll(faults.strike(kind, each, m, frames));
                    }
                }
            }
            faults.remember(m);
            if (rule.equals("record") && m instanceof ShmRemains shm) {
                strikes.add(SegmentFaults.header(shm, random));
            }
        }
        if (rule.equals("evict")) {
            strikes.addAll(stores.change(each));
        }
        return strikes;
    }

    /** Files are put back to what they were a little earlier, at the moment their writer is killed. */
    private void restores(Tally tally, int until, Random random) throws IOException, InterruptedException {
        try (Lab lab = new Lab(xen, 4, until < 50 ? 20 : 300, 8192, null)) {
            StoreFaults faults = new StoreFaults(lab.data, random);
            rounds(
                    lab,
                    tally,
                    random,
                    () -> Map.of("end", "load"),
                    () -> tally.injected >= until,
                    (l, child) -> List.of(),
                    child -> restore(faults, lab.data, child, Math.min(2, until - tally.injected), tally, random));
        }
    }

    private static List<Strike> restore(
            StoreFaults faults, Dataset data, Child child, int files, Tally tally, Random random) throws IOException {
        List<byte[]> copies = faults.copies();
        Progress.await(data, 200);
        List<Strike> strikes = new ArrayList<>();
        child.strike();
        long start = System.nanoTime();
        for (int f : Draw.distinct(random, files, data.files())) {
            long begun = (System.nanoTime() - start) / 1000;
            strikes.add(faults.restore(f, copies.get(f)));
            tally.reasons.merge("restore begun, µs after the kill, at most", (int) begun, Math::max);
        }
        return strikes;
    }

    /** What is done at the kill instead of it. */
    private interface AtKill {
        List<Strike> strike(Child child) throws IOException, InterruptedException;
    }

    private interface Enough {
        boolean get();
    }

    /** What the next life is started with. */
    private interface Options {
        Map<String, String> get();
    }

    private void rounds(Tally tally, int until, Random random, Map<String, String> options, Round round)
            throws IOException, InterruptedException {
        if (tally.injected < until && !isOver()) {
            try (Lab lab = new Lab(xen, 20, 8, 8192, null)) {
                rounds(lab, tally, random, options, () -> tally.injected >= until, round);
            }
        }
    }

    private void rounds(
            Lab lab, Tally tally, Random random, Map<String, String> options, Enough enough, Round round)
            throws IOException, InterruptedException {
        rounds(lab, tally, random, () -> options, enough, round, child -> List.of());
    }

    private void rounds(
            Lab lab,
            Tally tally,
            Random random,
            Options options,
            Enough enough,
            Round round,
            AtKill atKill)
            throws IOException, InterruptedException {
        List<Strike> strikes = List.of();
        Map<FrameState, Integer> lost = new HashMap<>();
        int empty = 0;
        while (true) {
            boolean last = enough.get() || isOver();
            // The last life only looks.
            Map<String, String> with = new HashMap<>(options.get());
            if (last) {
                with.remove("break");
                with.put("churn", "0");
            }
            try (Child child = lab.start(random.nextLong(), with, !with.getOrDefault("break", "").isEmpty())) {
                child.await("CHECKED");
                judge(tally, strikes, lost, child.said);
                tally.restarts++;
                if (last) {
                    child.kill();
                    lab.awaitOff();
                    return;
                }
                child.await("READY");
                strikes = new ArrayList<>(atKill.strike(child));
                child.kill();
                lab.awaitOff();
                lost = inFlight(lab);
                strikes.addAll(round.strike(lab, child));
            }
            for (Strike s : strikes) {
                tally.injected++;
                tally.variants.merge(s.what(), 1, Integer::sum);
            }
            empty = strikes.isEmpty() ? empty + 1 : 0;
            if (empty > 20) {
                throw new IllegalStateException("nothing could be broken in 20 lives");
            }
        }
    }

    /** What a kill leaves behind without any break. */
    private static Map<FrameState, Integer> inFlight(Lab lab) throws IOException {
        Map<FrameState, Integer> lost = new HashMap<>();
        try (Remains m = lab.remains()) {
            for (int f = 0; f < m.frames(); f++) {
                FrameState state = m.entry(f).state();
                if (state != null) {
                    lost.merge(state, 1, Integer::sum);
                }
            }
        }
        return lost;
    }

    /** What a life said of one page. */
    private record Page(boolean found, boolean survived, boolean equal, boolean expected) {}

    private void judge(Tally tally, List<Strike> strikes, Map<FrameState, Integer> lost, List<String> said) {
        Map<Target, Page> pages = new HashMap<>();
        String cold = null;
        int drops = 0;
        for (String line : said) {
            String[] words = line.split(" ", 4);
            switch (words[0]) {
                case "COLD" -> cold = line.substring(5);
                case "PAGE" -> pages.put(
                        new Target(Integer.parseInt(words[1]), Long.parseLong(words[2])),
                        new Page(
                                words[3].charAt(0) == '1',
                                words[3].charAt(1) == '1',
                                words[3].charAt(2) == '1',
                                words[3].charAt(3) == '1'));
                case "DROPPED" -> {
                    int dropped = Integer.parseInt(words[2]);
                    for (FrameState state : FrameState.values()) {
                        if (state.name().equals(words[1])) {
                            dropped -= lost.getOrDefault(state, 0);
                        }
                    }
                    if (!strikes.isEmpty()) {
                        tally.reason(words[1], dropped);
                        drops += dropped;
                    }
                }
                case "LENGTH" -> wrong(tally, strikes, line);
                default -> {}
            }
        }
        pages.forEach((page, is) -> {
            if (!is.equal()) {
                wrong(tally, strikes, page + " " + is);
            } else if (!is.expected()) {
                tally.unlikeOracle++;
            }
        });
        for (Strike strike : strikes) {
            judge(tally, strike, pages, cold, drops);
        }
        if (cold != null && !strikes.isEmpty()) {
            tally.reason("cold: " + cold.replaceAll("[0-9a-f]{4,}|[0-9]+", "N"), 1);
        }
    }

    private static void judge(Tally tally, Strike strike, Map<Target, Page> pages, @Nullable String cold, int drops) {
        if (strike.harmless().equals("refused")) {
            tally.detected++;
            tally.reason("write refused", 1);
        } else if (!strike.harmless().isEmpty()) {
            tally.harmless++;
        } else if (cold != null) {
            tally.detected++;
        } else if (strike.targets().isEmpty()) {
            // Warm: frames were dropped for it; or it hit a part that has a copy, or that nobody uses.
            if (drops > 0) {
                tally.detected++;
            } else {
                tally.harmless++;
            }
        } else if (strike.targets().stream().allMatch(t -> {
            Page page = pages.get(t);
            return page != null && page.survived() && page.equal();
        })) {
            tally.harmless++;
        } else {
            tally.detected++;
        }
    }

    private void wrong(Tally tally, List<Strike> strikes, String what) {
        tally.servedWrong++;
        String finding = "SERVED WRONG: " + what + " after " + strikes;
        findings.add(finding);
        out.println(finding);
    }
}
