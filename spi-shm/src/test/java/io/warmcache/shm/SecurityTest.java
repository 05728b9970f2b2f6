/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.warmcache.CacheConfig;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The promises of {@code SECURITY.md} that are this module's and no other test's. */
class SecurityTest {
    private static final byte[] SECRET = "a secret of 32 bytes, found as is".getBytes(StandardCharsets.US_ASCII);

    private Env env;

    @BeforeEach
    void open() throws Exception {
        env = new Env();
    }

    @AfterEach
    void close() throws Exception {
        env.close();
    }

    /** How often the secret is in what is in the file. */
    private static int secrets(byte[] bytes) {
        int found = 0;
        for (int at = 0; at + SECRET.length <= bytes.length; at++) {
            int i = 0;
            while (i < SECRET.length && bytes[at + i] == SECRET[i]) {
                i++;
            }
            found += i == SECRET.length ? 1 : 0;
        }
        return found;
    }

    /** By the descriptor that somebody kept: also when the name is gone. */
    private static byte[] read(FileChannel file) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate((int) file.size());
        while (bytes.hasRemaining() && file.read(bytes, bytes.position()) > 0) {
            assertTrue(bytes.position() > 0);
        }
        return bytes.array();
    }

    private static void fillWithSecrets(ShmBackend b) {
        MemorySegment memory = b.memory();
        for (long at = 0; at + SECRET.length <= memory.byteSize(); at += SECRET.length) {
            MemorySegment.copy(SECRET, 0, memory, ValueLayout.JAVA_BYTE, at, SECRET.length);
        }
    }

    private static void assertZeros(byte[] bytes, String when) {
        assertArrayEquals(new byte[bytes.length], bytes, when);
    }

    private static boolean isRoot() {
        return Libc.effectiveUser() == 0;
    }

    /** Runs a command as another user; its exit code. */
    private static int asAnother(String... command) throws Exception {
        List<String> all = new ArrayList<>(List.of("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"));
        all.addAll(List.of(command));
        return new ProcessBuilder(all)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .redirectError(ProcessBuilder.Redirect.DISCARD)
                .start()
                .waitFor();
    }

    private static boolean canBecomeAnother() {
        try {
            return isRoot() && asAnother("true") == 0;
        } catch (Exception e) {
            return false;
        }
    }

    @Test
    void anotherUserCanNeitherReadNorWriteNorRemoveASegment() throws Exception {
        assumeTrue(canBecomeAnother(), "becoming another user takes root and setpriv");
        String name = "test-other-user-" + ProcessHandle.current().pid();
        CacheConfig config = CacheConfig.of(name, 1 << 20);
        Path path = Path.of("/dev/shm/warmcache." + name);
        try {
            ShmBackend b = env.attach(config);
            assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(path)));
            assertEquals(Libc.effectiveUser(), Files.getAttribute(path, "unix:uid"));
            assertEquals(0, asAnother("test", "-e", path.toString()), "it is there to be seen");
            assertNotEquals(0, asAnother("head", "-c", "1", path.toString()));
            assertNotEquals(0, asAnother("dd", "if=/dev/zero", "of=" + path, "count=1", "conv=notrunc"));
            assertNotEquals(0, asAnother("truncate", "-s", "0", path.toString()));
            assertNotEquals(0, asAnother("flock", "-n", path.toString(), "true"), "nor lock it, and keep us out");
            // The directory's sticky bit.
            assertNotEquals(0, asAnother("rm", "-f", path.toString()));
            b.close();
            assertTrue(Files.exists(path));
            b = env.attach(config);
            assertTrue(b.attachReport().warm(), b.attachReport().coldReason());
            b.drop();
        } finally {
            Files.deleteIfExists(path);
        }
    }

    @Test
    void aSegmentIsItsOwnersAloneWhateverTheUmask() throws Exception {
        Process child = Child.startUnder(
                List.of("sh", "-c", "umask 0; exec \"$0\" \"$@\""),
                List.of("--illegal-native-access=deny", "--enable-native-access=ALL-UNNAMED"),
                "try",
                env.segment().toString(),
                "1048576");
        assertEquals("cold: there was no segment", Child.outcome(child));
        assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(env.segment())));
    }

    @Test
    void aSegmentOfTwoNamesIsRefused() throws Exception {
        env.attach().close();
        Path second = Files.createLink(env.segments.resolve("second"), env.segment());
        for (Path path : List.of(env.segment(), second)) {
            IOException e = assertThrows(IOException.class, () -> env.attach(Env.config(path)));
            assertTrue(e.getMessage().contains("2 names"), e.getMessage());
            assertThrows(IOException.class, () -> new ShmProvider().drop(Env.backendConfig(Env.config(path))));
        }
        Files.delete(second);
        ShmBackend b = env.attach();
        assertTrue(b.attachReport().warm(), b.attachReport().coldReason());
        b.close();
    }

    /** What a link names is neither read nor written nor removed, also by drop. */
    @Test
    void dropFollowsNoLink() throws Exception {
        Path precious = env.file("precious", SECRET);
        Files.createSymbolicLink(env.segment(), precious);
        IOException e = assertThrows(
                IOException.class, () -> new ShmProvider().drop(Env.backendConfig(env.config())));
        assertTrue(e.getMessage().contains("symbolic link"), e.getMessage());
        assertArrayEquals(SECRET, Files.readAllBytes(precious));
    }

    @Test
    void noDescriptorOutlivesAnExec() throws Exception {
        ShmBackend b = env.attach();
        Path file = env.file("data", new byte[Env.PAGE]);
        ShmFile f = Env.map(b, file, Env.BUFFERED);
        int checked = 0;
        try (Stream<Path> fds = Files.list(Path.of("/proc/self/fd"))) {
            for (Path fd : fds.toList()) {
                Path target;
                try {
                    target = Files.readSymbolicLink(fd);
                } catch (IOException e) {
                    continue; // the listing's own
                }
                if (target.equals(env.segment()) || target.equals(file)) {
                    String flags = Files.readAllLines(Path.of("/proc/self/fdinfo", fd.getFileName().toString()))
                            .stream()
                            .filter(line -> line.startsWith("flags:"))
                            .findFirst()
                            .orElseThrow();
                    long octal = Long.parseLong(flags.substring(6).strip(), 8);
                    assertNotEquals(0, octal & Libc.O_CLOEXEC, target + " " + flags);
                    checked++;
                }
            }
        }
        assertTrue(checked >= 2, "found " + checked);
        f.close();
        b.close();
    }

    // Wiping

    @Test
    void aWipedSegmentHoldsNothingOfWhatWasInIt() throws Exception {
        for (boolean onDisk : List.of(false, true)) {
            Path path = (onDisk ? env.data : env.segments).resolve("wiped");
            for (boolean open : List.of(true, false)) {
                ShmBackend b = env.attach(Env.config(path));
                ShmFile f = Env.map(b, env.file("name-of-a-store", new byte[Env.PAGE]), Env.BUFFERED);
                f.close();
                fillWithSecrets(b);
                try (FileChannel kept = FileChannel.open(path, StandardOpenOption.READ)) {
                    long size = kept.size();
                    byte[] before = read(kept);
                    assertTrue(secrets(before) > 1000, "the secret can be found");
                    assertTrue(new String(before, StandardCharsets.ISO_8859_1).contains("name-of-a-store"));
                    if (open) {
                        b.drop();
                    } else {
                        Env.kill(b);
                        assertTrue(new ShmProvider().drop(Env.backendConfig(Env.config(path))));
                    }
                    assertEquals(size, kept.size());
                    assertZeros(read(kept), "wiped");
                    assertFalse(Files.exists(path));
                }
            }
        }
    }

    /** What has storage is overwritten before it is freed: until then nothing is punched or cut. */
    @Test
    void everyByteIsOverwrittenBeforeItsMemoryIsGivenBack() throws Exception {
        boolean[] looked = new boolean[1];
        ShmBackend b = env.attach(env.config(), step -> {
            if (step.equals("wipe.synced")) {
                try {
                    FileStat stat = Libc.stat(env.segment().toString(), false);
                    assertTrue(stat.allocated() >= stat.size() / 4096 * 4096, "nothing was freed yet");
                    assertZeros(Files.readAllBytes(env.segment()), step);
                    looked[0] = true;
                } catch (IOException e) {
                    throw new AssertionError(e);
                }
            }
        });
        fillWithSecrets(b);
        b.drop();
        assertTrue(looked[0]);
    }

    private void assertOverwrittenBeforeItIsGivenBack(CacheConfig config, long more) throws Exception {
        boolean[] looked = new boolean[1];
        Path path = Path.of(config.name());
        ShmBackend b = env.attach(config, step -> {
            if (step.equals("wipe.synced")) {
                try (FileChannel file = FileChannel.open(path, StandardOpenOption.READ)) {
                    FileStat stat = Libc.stat(path.toString(), false);
                    assertTrue(stat.allocated() >= config.capacity(), "nothing was freed yet");
                    assertZeros(read(file), step);
                    looked[0] = true;
                } catch (IOException e) {
                    throw new AssertionError(e);
                }
            }
        });
        fillWithSecrets(b);
        try (FileChannel file = FileChannel.open(path, StandardOpenOption.READ)) {
            assertTrue(secrets(read(file)) > 1000, "the secret can be found");
            if (more > 0) {
                String length = Long.toString(file.size() + more);
                assertEquals(0, new ProcessBuilder("truncate", "-s", length, path.toString()).start().waitFor());
            }
        }
        b.drop();
        assertTrue(looked[0]);
        assertFalse(Files.exists(path));
    }

    @Test
    void framesThatWereMovedIntoHugePagesAreOverwritten() throws Exception {
        assertOverwrittenBeforeItIsGivenBack(
                env.config().withCapacity(8L << 20).withOptions(Map.of(ShmBackend.OPTION_HUGE_PAGES, "collapse")), 0);
    }

    /** Also where some of the file has no pages, which none are taken for. */
    @Test
    void aSegmentOfHugePagesIsOverwritten() throws Exception {
        Path mount = Files.createDirectory(env.data.resolve("huge"));
        assumeTrue(
                new ProcessBuilder("mount", "-t", "hugetlbfs", "-o", "mode=700", "none", mount.toString())
                                .start()
                                .waitFor()
                        == 0,
                "mounting takes root and a kernel with huge pages");
        try {
            assumeTrue(
                    RefusalTest.freeHugeBytes() >= 64L << 20,
                    "no huge pages are free: as root, sysctl vm.nr_hugepages=40 lets this test run");
            for (long more : List.of(0L, 80L << 20)) {
                assertOverwrittenBeforeItIsGivenBack(
                        Env.config(mount.resolve("segment")).withCapacity(8L << 20), more);
            }
        } finally {
            assertEquals(0, new ProcessBuilder("umount", "-l", mount.toString()).start().waitFor());
        }
    }

    /**
     * A death at each step of a wipe: the next attach is cold (or, before the first step, warm and as it was), and has
     * wiped the rest by the time it is there; or a drop has.
     */
    @Test
    void aDeathAmidAWipeServesNothingAndTheNextOpenWipesTheRest() throws Exception {
        List<String> steps = new ArrayList<>();
        // More than one chunk, so that there is a middle.
        long capacity = 10L << 20;
        CacheConfig config = Env.config(env.segment()).withCapacity(capacity);
        ShmBackend b = env.attach(config, step -> {
            if (!step.startsWith("wipe")) {
                return;
            }
            steps.add(step);
            try {
                for (boolean drop : List.of(false, true)) {
                    Path copy = env.segments.resolve("copy");
                    Files.copy(env.segment(), copy);
                    Files.setPosixFilePermissions(copy, PosixFilePermissions.fromString("rw-------"));
                    CacheConfig dead = Env.config(copy).withCapacity(capacity);
                    try (FileChannel kept = FileChannel.open(copy, StandardOpenOption.READ)) {
                        if (drop) {
                            assertTrue(new ShmProvider().drop(Env.backendConfig(dead)), step);
                            assertZeros(read(kept), step);
                        } else {
                            ShmBackend next = env.attach(dead);
                            assertEquals(step.equals("wipe"), next.attachReport().warm(), step);
                            if (!step.equals("wipe")) {
                                assertEquals(0, secrets(read(kept)), step);
                                assertEquals(0, Env.survivors(next).size(), step);
                            }
                            next.abandon();
                        }
                    }
                    Files.deleteIfExists(copy);
                }
            } catch (IOException e) {
                throw new AssertionError(step, e);
            }
        });
        fillWithSecrets(b);
        b.drop();
        assertTrue(steps.size() >= 6 && steps.containsAll(List.of(
                "wipe", "wipe.invalid", "wipe.headers", "wipe.zeros", "wipe.synced", "wipe.punched")), steps::toString);
    }

    @Test
    void wipingTakesNoMemoryForFramesThatDoNotExist() throws Exception {
        CacheConfig config = env.config().withMaxCapacity(64L << 20);
        long[] most = new long[1];
        ShmBackend b = env.attach(config, step -> {
            try {
                most[0] = Math.max(most[0], Libc.stat(env.segment().toString(), false).allocated());
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        });
        long before = Libc.stat(env.segment().toString(), false).allocated();
        b.drop();
        assertEquals(before, most[0]);
    }
}
