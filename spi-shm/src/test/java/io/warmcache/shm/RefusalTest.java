/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.warmcache.CacheConfig;
import io.warmcache.spi.FrameBackendProvider;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.ServiceLoader;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What a user can get wrong, and the sentence that says so. */
class RefusalTest {
    private Env env;

    @BeforeEach
    void open() throws Exception {
        env = new Env();
    }

    @AfterEach
    void close() throws Exception {
        env.close();
    }

    private void refused(String... parts) {
        refused(env.config(), parts);
    }

    private void refused(CacheConfig config, String... parts) {
        IOException e = assertThrows(IOException.class, () -> env.attach(config));
        for (String part : parts) {
            assertTrue(e.getMessage().contains(part), e.getMessage());
        }
    }

    @Test
    void theProviderIsFoundByName() {
        List<String> names = new ArrayList<>();
        ServiceLoader.load(FrameBackendProvider.class).forEach(p -> names.add(p.name()));
        assertTrue(names.contains("shm"), names::toString);
    }

    @Test
    void aSymbolicLinkIsNotFollowed() throws Exception {
        Files.createSymbolicLink(env.segment(), env.segments.resolve("elsewhere"));
        refused("symbolic link", "remove the link");
        assertFalse(Files.exists(env.segments.resolve("elsewhere")));
    }

    @Test
    void aDirectoryOrAPipeIsNoSegment() throws Exception {
        Files.createDirectory(env.segment());
        refused("Is a directory");
        Files.delete(env.segment());
        assertEquals(0, new ProcessBuilder("mkfifo", "-m", "600", env.segment().toString()).start().waitFor());
        refused("a pipe", "regular file");
    }

    @Test
    void aFileThatOthersMayReadIsNotTrusted() throws Exception {
        env.attach().close();
        Files.setPosixFilePermissions(env.segment(), PosixFilePermissions.fromString("rw-r-----"));
        refused("mode 0640", "chmod 600");
    }

    @Test
    void aForeignOwnersFileIsNotUsed() throws Exception {
        assumeTrue(Libc.effectiveUser() == 0, "giving a file away takes root");
        env.attach().close();
        Files.setAttribute(env.segment(), "unix:uid", 12345);
        refused("belongs to user 12345", "use another name");
    }

    @Test
    void aForeignOwnersFileInSharedMemoryIsNotUsed() throws Exception {
        assumeTrue(Libc.effectiveUser() == 0, "giving a file away takes root");
        String name = "test-foreign-" + ProcessHandle.current().pid();
        Path path = Path.of("/dev/shm/warmcache." + name);
        try {
            CacheConfig config = CacheConfig.of(name, 1 << 20);
            env.attach(config).close();
            assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(path)));
            Files.setAttribute(path, "unix:uid", 12345);
            refused(config, "belongs to user 12345");
        } finally {
            Files.deleteIfExists(path);
        }
    }

    @Test
    void deviceResourcesAndUnusableNamesAreRefused() {
        refused(Env.config(Path.of("/sys/bus/pci/devices/x/resource0_wc")), "write-combining");
        refused(Env.config(Path.of("/dev/../sys/x")), "write-combining");
        refused(CacheConfig.of(".hidden", 1 << 20), "not start with a dot");
        refused(CacheConfig.of("a/b", 1 << 20), "1 to 200 of");
        refused(CacheConfig.of("x".repeat(201), 1 << 20), "1 to 200 of");
        refused(Env.config(env.segments.resolve("no/such")), "directory does not exist");
    }

    @Test
    void aFileThatIsNoSegmentIsNeverOverwritten() throws Exception {
        byte[] precious = Env.random(30, 100_000);
        Files.write(env.segment(), precious);
        Files.setPosixFilePermissions(env.segment(), PosixFilePermissions.fromString("rw-------"));
        refused("not a warmcache segment");
        assertThrows(IOException.class, () -> new ShmProvider().drop(Env.backendConfig(env.config())));
        assertArrayEquals(precious, Files.readAllBytes(env.segment()));
    }

    @Test
    void unknownOptionValuesAreRefused() {
        for (String option : List.of(ShmBackend.OPTION_CGROUP_CHECK, ShmBackend.OPTION_DOMAIN)) {
            IllegalArgumentException e = assertThrows(
                    IllegalArgumentException.class,
                    () -> env.attach(env.config().withOptions(java.util.Map.of(option, "perhaps"))));
            assertTrue(e.getMessage().contains(option), e.getMessage());
        }
    }

    @Test
    void deniedNativeAccessIsSaidWithItsOption() throws Exception {
        String outcome = Child.outcome(Child.start(
                List.of("--illegal-native-access=deny"), "try", env.segment().toString(), String.valueOf(1 << 20)));
        assertTrue(outcome.startsWith("error: "), outcome);
        assertTrue(outcome.contains("--enable-native-access=ALL-UNNAMED"), outcome);
        assertFalse(Files.exists(env.segment()));
    }

    @Test
    void aTinySharedMemoryIsAnErrorThatNamesBothSizesAndTheMend() throws Exception {
        FsStat tiny = new FsStat(FsStat.TMPFS, 1, 4096, 64 << 20, 60 << 20);
        IOException e = assertThrows(
                IOException.class, () -> MemoryBudget.requireSpace("/dev/shm/warmcache.x", tiny, 4L << 30, 0));
        assertEquals(
                "the file system of /dev/shm has 60 MiB free of 64 MiB, the cache needs 4 GiB: make it larger (mount -o"
                        + " remount,size=4096m /dev/shm; docker run --shm-size=4096m; in Kubernetes an emptyDir with"
                        + " medium Memory), or configure a smaller capacity",
                e.getMessage());
        MemoryBudget.requireSpace("/dev/shm/x", tiny, 64 << 20, 4 << 20);
        MemoryBudget.requireSpace("/dev/shm/x", new FsStat(FsStat.TMPFS, 1, 4096, 0, 0), 4L << 30, 0);
    }

    @Test
    void aTinyFileSystemIsRefusedBeforeAnythingIsTouched() throws Exception {
        Path mount = Files.createDirectory(env.data.resolve("mount"));
        assumeTrue(
                new ProcessBuilder("mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", mount.toString())
                                .start()
                                .waitFor()
                        == 0,
                "mounting takes root");
        try {
            Path segment = mount.resolve("segment");
            refused(CacheConfig.of(segment.toString(), 16 << 20), "1 MiB free of 1 MiB", "the cache needs 18.3 MiB");
            assertFalse(Files.exists(segment));
            env.attach(Env.config(segment)).close();
            // A larger capacity, which does not fit, leaves the old segment as it was.
            refused(CacheConfig.of(segment.toString(), 16 << 20), "the cache needs");
            ShmBackend b = env.attach(Env.config(segment));
            assertTrue(b.attachReport().warm());
            b.close();
            // Holes that nothing is left to fill: an error, and no signal at the first touch.
            try (RandomAccessFile f = new RandomAccessFile(segment.toFile(), "rw")) {
                long size = f.length();
                f.setLength(Geometry.of(Env.config(segment)).framesOffset());
                f.setLength(size);
            }
            try (FileChannel filler = FileChannel.open(
                    mount.resolve("filler"), StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
                assertThrows(IOException.class, () -> {
                    while (true) {
                        filler.write(ByteBuffer.allocate(4096));
                    }
                });
            }
            IOException e = assertThrows(IOException.class, () -> env.attach(Env.config(segment)));
            assertTrue(e.getMessage().contains("the cache needs"), e.getMessage());
        } finally {
            assertEquals(0, new ProcessBuilder("umount", "-l", mount.toString()).start().waitFor());
        }
    }

    static long freeHugeBytes() throws IOException {
        long free = 0;
        long kibibytes = 0;
        for (String line : Files.readAllLines(Path.of("/proc/meminfo"))) {
            String[] words = line.split("[: ]+", -1);
            if (words[0].equals("HugePages_Free")) {
                free = Long.parseLong(words[1]);
            } else if (words[0].equals("Hugepagesize")) {
                kibibytes = Long.parseLong(words[1]);
            }
        }
        return (free * kibibytes) << 10;
    }

    @Test
    void aSegmentOfHugePagesWorksAndTooFewOfThemAreAnError() throws Exception {
        Path mount = Files.createDirectory(env.data.resolve("huge"));
        assumeTrue(
                new ProcessBuilder("mount", "-t", "hugetlbfs", "-o", "mode=700", "none", mount.toString())
                                .start()
                                .waitFor()
                        == 0,
                "mounting takes root and a kernel with huge pages");
        try {
            Path segment = mount.resolve("segment");
            CacheConfig huge = CacheConfig.of(segment.toString(), 32L << 30)
                    .withPageSize(65536)
                    .withOptions(java.util.Map.of(ShmBackend.OPTION_CGROUP_CHECK, "off"));
            refused(huge, "huge pages", "vm.nr_hugepages");
            assertFalse(Files.exists(segment));
            // looked up and not found out by an attach that fails, which would be a failure of ours as well
            assumeTrue(
                    freeHugeBytes() >= 64L << 20,
                    "no huge pages are free: as root, sysctl vm.nr_hugepages=40 lets this test run");
            ShmBackend b = env.attach(Env.config(segment));
            b.memory().fill((byte) 5);
            Env.kill(b);
            b = env.attach(Env.config(segment));
            assertTrue(b.attachReport().warm(), b.attachReport().coldReason());
            assertEquals(5, b.memory().get(java.lang.foreign.ValueLayout.JAVA_BYTE, b.memory().byteSize() - 1));
            b.drop();
            assertFalse(Files.exists(segment));
        } finally {
            assertEquals(0, new ProcessBuilder("umount", "-l", mount.toString()).start().waitFor());
        }
    }

    // Control groups

    private Path fakeProc(String cgroup, String mountinfo) throws IOException {
        Path proc = Files.createDirectories(env.data.resolve("proc"));
        Files.writeString(proc.resolve("cgroup"), cgroup);
        Files.writeString(proc.resolve("mountinfo"), mountinfo);
        return proc;
    }

    private Path group(String path, String... namesAndValues) throws IOException {
        Path dir = Files.createDirectories(env.data.resolve(path));
        for (int i = 0; i < namesAndValues.length; i += 2) {
            Files.writeString(dir.resolve(namesAndValues[i]), namesAndValues[i + 1] + "\n");
        }
        return dir;
    }

    private static long mib(long n) {
        return n << 20;
    }

    private String limitError(Path proc, long length, long allocated) {
        return limitError(proc, length, allocated, false);
    }

    private String limitError(Path proc, long length, long allocated, boolean huge) {
        return assertThrows(
                        IOException.class,
                        () -> budget(proc).requireWithinLimits(env.segment().toString(), length, allocated, huge))
                .getMessage();
    }

    /** Of a JVM that needs 150 MiB beside the segment. */
    private static MemoryBudget budget(Path proc) {
        return new MemoryBudget(proc, mib(100), () -> mib(40), () -> mib(10));
    }

    private void fits(Path proc, long length, long allocated) throws IOException {
        budget(proc).requireWithinLimits(env.segment().toString(), length, allocated, false);
    }

    @Test
    void theLimitOfEveryAncestorControlGroupCounts() throws Exception {
        Path top = group("v2", "cgroup.procs", "");
        group("v2/a", "memory.max", "" + mib(400), "memory.high", "max", "memory.stat", "anon 5\nshmem " + mib(10));
        group("v2/a/b", "memory.max", "max", "memory.high", "max");
        Path proc = fakeProc("0::/a/b\n", "30 20 0:25 / " + top + " rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
        fits(proc, mib(240), 0);
        // What the segment has already is among the shared memory of the group.
        fits(proc, mib(250), mib(10));
        assertEquals(
                "the memory limit in " + top + "/a/memory.max is 400 MiB, the cache needs 250 MiB beside 100 MiB of"
                        + " heap (-Xmx), 40 MiB of direct memory (-XX:MaxDirectMemorySize) and 10 MiB for classes and"
                        + " code, and 10 MiB of shared memory are there already (look for segments in " + env.segments
                        + " that nobody uses): raise the limit, lower one of these, or skip this check with the option"
                        + " shm.cgroupCheck=off",
                limitError(proc, mib(250), 0));
        Files.write(env.segments.resolve("warmcache.other"), new byte[8192]);
        assertTrue(limitError(proc, mib(250), 0)
                .contains("(segments of caches, used or left over: " + env.segments + "/warmcache.other of 8 KiB)"));
        group("v2/a/b", "memory.high", "" + mib(200));
        assertTrue(limitError(proc, mib(100), 0).contains("a/b/memory.high is 200 MiB"));
    }

    @Test
    void controlGroupsOfVersionOneCount() throws Exception {
        Path memory = group("v1/memory", "memory.limit_in_bytes", "9223372036854771712");
        group("v1/memory/x", "memory.limit_in_bytes", "" + mib(300), "memory.stat", "total_shmem " + mib(20));
        Path proc = fakeProc(
                "5:cpu,cpuacct:/y\n4:memory:/x\n0::/\n",
                "31 20 0:3 / " + group("v1/cpu") + " rw - cgroup cgroup rw,cpu,cpuacct\n"
                        + "32 20 0:4 / " + memory + " rw - cgroup cgroup rw,memory\n");
        fits(proc, mib(130), 0);
        assertTrue(limitError(proc, mib(131), 0).contains("memory/x/memory.limit_in_bytes is 300 MiB"));
    }

    @Test
    void aContainersOwnGroupIsFoundWhateverPartIsMounted() throws Exception {
        Path top = group("with space", "memory.max", "" + mib(200));
        String escaped = top.toString().replace(" ", "\\040");
        // The group itself is what is mounted; and one that lies outside of what is.
        for (String within : List.of("/docker/abc", "/docker/abc/not-visible", "/../other")) {
            Path proc = fakeProc("0::" + within + "\n", "1 2 0:9 /docker/abc " + escaped + " ro - cgroup2 cgroup rw\n");
            assertTrue(limitError(proc, mib(100), 0).contains("is 200 MiB"));
        }
        Path none = fakeProc("0::/a\n", "1 2 0:9 / /nowhere rw - tmpfs none rw\ngarbage\n\n");
        fits(none, mib(1 << 20), 0);
        fits(env.data.resolve("absent"), mib(1 << 20), 0);
    }

    /** A container's group as Kubernetes nests them: the pod's limit is the one that two containers share. */
    @Test
    void theLimitOfAPodAboveTwoContainersCounts() throws Exception {
        Path top = group("k8s", "cgroup.procs", "");
        String pod = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice";
        group("k8s/" + pod, "memory.max", "" + mib(500), "memory.stat", "shmem " + mib(200));
        group("k8s/" + pod + "/cri-a.scope", "memory.max", "" + mib(450), "memory.stat", "shmem 0");
        Path proc = fakeProc(
                "0::/" + pod + "/cri-a.scope\n",
                "30 20 0:25 / " + top + " rw,nosuid,nodev - cgroup2 cgroup rw,nsdelegate,memory_recursiveprot\n");
        // The segment that an earlier container of the pod left is charged to the pod, and used again.
        fits(proc, mib(200), mib(200));
        String error = limitError(proc, mib(200), 0);
        assertTrue(error.contains("kubepods-burstable-pod1.slice/memory.max is 500 MiB"), error);
        assertTrue(error.contains("200 MiB of shared memory are there already"), error);
    }

    /** Huge pages come from a pool of their own; only newer kernels charge them to the memory limit, if told to. */
    @Test
    void hugePagesCountWhereTheKernelChargesThem() throws Exception {
        Path top = group("huge", "memory.max", "" + mib(200));
        String mount = "30 20 0:25 / " + top + " rw - cgroup2 cgroup2 rw,nsdelegate";
        Path proc = fakeProc("0::/\n", mount + "\n");
        String path = env.segment().toString();
        budget(proc).requireWithinLimits(path, mib(1 << 20), 0, true);
        proc = fakeProc("0::/\n", mount + ",memory_hugetlb_accounting\n");
        assertTrue(limitError(proc, mib(60), 0, true).contains("the cache needs 60 MiB"));
        group("huge", "memory.max", "" + mib(100));
        proc = fakeProc("0::/\n", mount + "\n");
        assertTrue(limitError(proc, mib(60), 0, true).contains("is 100 MiB, the JVM needs 100 MiB of heap"));
    }

    @Test
    void theHolderOfALockIsFoundByDeviceAndInode() {
        FileStat file = new FileStat(0, 0, 1, 42, 0, 0x1b, 0, 0, 0, 0, 0, 0);
        List<String> lines = List.of(
                "1: POSIX  ADVISORY  WRITE 111 00:1b:42 0 EOF",
                "2: FLOCK  ADVISORY  WRITE 222 00:1c:42 0 EOF",
                "2: -> FLOCK  ADVISORY  WRITE 224 00:1b:42 0 EOF",
                "3: FLOCK  ADVISORY  WRITE 333 00:1b:42 0 EOF",
                "4: FLOCK  ADVISORY  WRITE 444 00:1b:43 0 EOF");
        assertEquals(333, ProcLocks.holder(lines, file));
        assertEquals(222, ProcLocks.holder(lines.subList(0, 3), file));
        assertEquals(0, ProcLocks.holder(List.of("5: FLOCK  ADVISORY  WRITE -1 00:1b:42 0 EOF"), file));
        assertEquals(0, ProcLocks.holder(List.of("nonsense"), file));
    }
}
