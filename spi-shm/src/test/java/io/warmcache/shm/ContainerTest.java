/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.warmcache.CacheConfig;
import io.warmcache.contract.LimitedGroup;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Pid namespaces and memory limits of its own, as a container has them. */
class ContainerTest {
    private static final long CAPACITY = (long) Env.FRAMES * Env.PAGE;
    private static final List<String> NATIVE = List.of("--enable-native-access=ALL-UNNAMED");

    /** A pid namespace with its own {@code /proc}, ended with the process that made it. */
    private static final List<String> OWN_PIDS =
            List.of("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--");

    private final List<Process> children = new ArrayList<>();
    private Env env;

    @BeforeEach
    void open() throws Exception {
        env = new Env();
    }

    @AfterEach
    void close() throws Exception {
        for (Process child : children) {
            child.destroyForcibly();
            assertTrue(child.waitFor(60, TimeUnit.SECONDS), "the child has ended");
        }
        env.close();
    }

    private Process start(List<String> wrapper, List<String> options, String... args) throws IOException {
        Process child = Child.startUnder(wrapper, options, args);
        children.add(child);
        return child;
    }

    // ---- pid namespaces

    private static void assumePidNamespaces() throws Exception {
        List<String> command = new ArrayList<>(OWN_PIDS);
        command.add("true");
        boolean can;
        try {
            can = new ProcessBuilder(command).redirectErrorStream(true).start().waitFor() == 0;
        } catch (IOException e) {
            can = false;
        }
        assumeTrue(can, "making a pid namespace takes unshare and root");
    }

    private Process hold(List<String> wrapper) throws Exception {
        Process holder = start(wrapper, NATIVE, "hold", env.segment().toString(), String.valueOf(CAPACITY));
        Child.awaitLine(holder, "attached");
        return holder;
    }

    private String tryUnder(List<String> wrapper) throws Exception {
        return Child.outcome(start(wrapper, NATIVE, "try", env.segment().toString(), String.valueOf(CAPACITY)));
    }

    @Test
    void theHolderInAContainerOfItsOwnIsNamedByBothItsPids() throws Exception {
        assumePidNamespaces();
        Process holder = hold(OWN_PIDS);
        long outside = holder.descendants().findFirst().orElseThrow().pid();
        String outcome = Child.tryAttach(env.segment().toString(), CAPACITY);
        assertTrue(outcome.contains(" is in use by process " + outside + ", which runs in another pid"), outcome);
        assertTrue(outcome.contains("as in a container, as pid 1 and"), outcome);
        assertTrue(outcome.contains("this is " + PidNamespace.current() + ")"), outcome);
    }

    @Test
    void theHolderOutsideOfOurContainerIsNotTakenForUs() throws Exception {
        assumePidNamespaces();
        env.attach();
        String outcome = tryUnder(OWN_PIDS);
        assertTrue(
                outcome.contains(" is in use by pid " + ProcessHandle.current().pid()
                        + " of another pid namespace (" + PidNamespace.current() + ", this is "),
                outcome);
        assertTrue(outcome.contains("as in another container, attached since 20"), outcome);
    }

    /** In each container the JVM is pid 1. */
    @Test
    void twoContainersWhoseJvmsAreBothPidOneAreToldApart() throws Exception {
        assumePidNamespaces();
        Process holder = hold(OWN_PIDS);
        String outcome = tryUnder(OWN_PIDS);
        assertTrue(outcome.startsWith("busy: "), outcome);
        assertTrue(outcome.contains(" is in use by pid 1 of another pid namespace ("), outcome);
        assertFalse(outcome.contains("this process"), outcome);
        holder.destroyForcibly();
        assertEquals("warm", Child.outcome(start(
                OWN_PIDS, NATIVE, "waitAndTry", env.segment().toString(), String.valueOf(CAPACITY))));
    }

    @Test
    void aHolderThatNothingIsKnownOfIsSaidToBeElsewhere() {
        String unknown = ProcLocks.describe(0, null);
        assertTrue(unknown.contains("does not show: one in another pid namespace"), unknown);
        Header header =
                new Header(Format.CURRENT, Geometry.of(Env.config(env.segment())), 1, 1, 1, new UUID(0, 0));
        header.pid = 1;
        header.pidNamespace = 77;
        assertTrue(ProcLocks.recorded(header, 77).startsWith("process 1, attached since 1970-01-01T00:00:00Z"));
        assertTrue(ProcLocks.recorded(header, 78).startsWith("pid 1 of another pid namespace (77, this is 78)"));
        assertTrue(ProcLocks.recorded(header, 0).startsWith("a process that called itself pid 1, perhaps in another"));
        header.pidNamespace = 0;
        assertTrue(ProcLocks.recorded(header, 78).startsWith("a process that called itself pid 1, perhaps in another"));
    }

    @Test
    void whatProcSaysOfThisProcessIsUnderstood() {
        assertNotEquals(0, PidNamespace.current());
        assertEquals(PidNamespace.current(), PidNamespace.of(String.valueOf(PidNamespace.selfInProc())));
        assertEquals(ProcessHandle.current().pid(), PidNamespace.innerPid("self"));
        assertEquals(0, PidNamespace.of("none"));
        assertEquals(0, PidNamespace.innerPid("none"));
    }

    // ---- memory limits

    private static final List<String> SMALL_JVM = List.of(
            "-Xmx48m",
            "-XX:MaxDirectMemorySize=16m",
            "-XX:+UseSerialGC",
            "--enable-native-access=ALL-UNNAMED",
            "--illegal-native-access=deny");

    private Process fill(LimitedGroup group, Path segment, long capacity) throws IOException {
        return start(group.enter(), SMALL_JVM, "fill", segment.toString(), String.valueOf(capacity));
    }

    @Test
    void aRealControlGroupTooSmallIsAnErrorAndNotAKill() throws Exception {
        try (LimitedGroup group = LimitedGroup.make(200 << 20)) {
            String outcome = Child.outcome(fill(group, env.segment(), 400 << 20));
            assertTrue(
                    outcome.startsWith("error: the memory limit in " + group.directory()
                            + "/memory.limit_in_bytes is 200 MiB, the cache needs 40"),
                    outcome);
            assertTrue(outcome.contains("16 MiB of direct memory"), outcome);
            assertFalse(Files.exists(env.segment()));
            assertEquals(0, group.kills());
        }
    }

    private MemoryBudget limited(long limit) throws IOException {
        Path group = Files.createDirectories(env.data.resolve("group"));
        Files.writeString(group.resolve("memory.max"), String.valueOf(limit));
        Path proc = Files.createDirectories(env.data.resolve("proc"));
        Files.writeString(proc.resolve("cgroup"), "0::/\n");
        Files.writeString(proc.resolve("mountinfo"), "1 2 0:9 / " + group + " rw - cgroup2 cgroup rw\n");
        return new MemoryBudget(proc, 32 << 20, () -> 8 << 20, () -> 0);
    }

    private ShmBackend attach(CacheConfig config, long limit) throws IOException {
        return ShmBackend.attach(Env.backendConfig(config), limited(limit), null);
    }

    @Test
    void aSegmentTooLargeForTheLimitIsOpenedWithWhatFits() throws Exception {
        CacheConfig config =
                CacheConfig.of(env.segment().toString(), 16 << 20).withMaxFiles(6).withMaxUnfinishedAttaches(0);
        int frames = config.frames();
        attach(config, 100 << 20).close();
        // The heap takes 40 MiB, so 12 MiB are left; the cache is to give back what it can do without best.
        ShmBackend b = attach(config, 52 << 20);
        assertTrue(b.attachReport().warm(), b.attachReport().coldReason());
        assertEquals(frames, b.frames());
        int fits = b.affordableFrames();
        assertTrue(fits > frames * 0.7 && fits < frames * 0.75, fits + " of " + frames);
        b.resize(fits);
        b.close();
        // No more than fits from the start, and all again once there is room.
        b = attach(config, 52 << 20);
        assertEquals(fits, b.frames());
        assertEquals(fits, b.affordableFrames());
        b.close();
        b = attach(config, 100 << 20);
        assertTrue(b.attachReport().warm(), b.attachReport().coldReason());
        assertEquals(frames, b.frames());
        assertEquals(frames, b.affordableFrames());
        b.drop();
        b = attach(config, 52 << 20);
        assertEquals(fits, b.frames());
        b.drop();
        IOException refused = assertThrows(IOException.class, () -> attach(config, 46 << 20));
        assertTrue(refused.getMessage().contains("memory.max is 46 MiB, the cache needs 16"), refused.getMessage());
        CacheConfig all = config.withOptions(Map.of(ShmBackend.OPTION_LEAST_PERCENT, "100"));
        assertThrows(IOException.class, () -> attach(all, 52 << 20));
        assertFalse(Files.exists(env.segment()));
        CacheConfig wrong = config.withOptions(Map.of(ShmBackend.OPTION_LEAST_PERCENT, "0"));
        assertThrows(IllegalArgumentException.class, () -> attach(wrong, 52 << 20));
    }

    /**
     * The segment of a killed process stays charged to the group. A cache that uses it again fits as before, whatever
     * its JVM takes up to its own limits; one that would need as much beside it is refused, each time, and not killed.
     */
    @Test
    void restartsInAGroupThatALeftOverSegmentNearlyFillsEndInNoLoopOfKills() throws Exception {
        long capacity = 100 << 20;
        try (LimitedGroup group = LimitedGroup.make(220 << 20)) {
            for (int life = 0; life < 2; life++) {
                Process child = fill(group, env.segment(), capacity);
                BufferedReader said = new BufferedReader(
                        new InputStreamReader(child.getInputStream(), StandardCharsets.UTF_8));
                assertEquals(life == 0 ? "cold: there was no segment" : "warm", said.readLine());
                assertEquals("direct memory full", said.readLine());
                assertEquals("full", said.readLine());
                child.destroyForcibly();
                assertEquals(128 + 9, child.waitFor());
            }
            Path second = env.segments.resolve("warmcache.second");
            for (int restart = 0; restart < 5; restart++) {
                Process child = fill(group, second, capacity);
                String outcome = Child.outcome(child);
                assertTrue(outcome.startsWith("error: the memory limit in "), outcome);
                assertTrue(outcome.contains("MiB of shared memory are there already"), outcome);
                assertEquals(0, child.waitFor());
                assertFalse(Files.exists(second));
            }
            assertEquals(0, group.kills());
            // What the message asks for helps.
            Files.delete(env.segment());
            Process child = fill(group, second, capacity);
            Child.awaitLine(child, "full");
            assertEquals(0, group.kills());
            child.destroyForcibly();
            child.waitFor();
        }
    }
}
