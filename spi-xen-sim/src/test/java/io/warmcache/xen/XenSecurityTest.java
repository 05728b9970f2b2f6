/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.spi.BlockChecksum;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Objects;
import java.util.ServiceLoader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The promises of {@code SECURITY.md} that are {@code xen-simd}'s. */
class XenSecurityTest {
    private static final int PAGE = 8192;
    private static final byte[] SECRET = "a secret of 32 bytes, found as is".getBytes(StandardCharsets.US_ASCII);

    @TempDir
    Path directory;

    private Path socket() {
        return directory.resolve("s");
    }

    private SimdServer start() throws IOException {
        List<BlockChecksum> checksums = ServiceLoader.load(BlockChecksum.class).stream()
                .map(ServiceLoader.Provider::get)
                .toList();
        return SimdServer.start(socket(), 16 << 20, directory, checksums);
    }

    private static String mode(Path file) throws IOException {
        return PosixFilePermissions.toString(Files.getPosixFilePermissions(file));
    }

    @Test
    void socketAndLockAreTheirOwnersAlone() throws Exception {
        try (SimdServer server = start()) {
            assertEquals("rw-------", mode(socket()));
            assertEquals("rw-------", mode(directory.resolve("s.lock")));
            assertTrue(server.machine().frames() > 0);
        }
    }

    /** What another user would run: says hello as a guest does, and prints the answer. */
    private static final String STRANGER =
            """
            import java.net.*;
            import java.nio.*;
            import java.nio.channels.*;
            class Stranger {
                public static void main(String[] a) throws Exception {
                    try (SocketChannel c = SocketChannel.open(UnixDomainSocketAddress.of(a[0]))) {
                        ByteBuffer out = ByteBuffer.allocate(17).order(ByteOrder.LITTLE_ENDIAN);
                        out.putInt(13).put(Byte.parseByte(a[1])).putLong(Long.parseLong(a[2]));
                        c.write(out.putInt(Integer.parseInt(a[3])).flip());
                        ByteBuffer in = ByteBuffer.allocate(4096);
                        while (c.read(in) > 0) {}
                        System.out.println(new String(in.array(), 0, in.position(), "ISO-8859-1"));
                    }
                }
            }
            """;

    private String asAnother(String... command) throws Exception {
        List<String> all = new java.util.ArrayList<>(
                List.of("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"));
        all.addAll(List.of(command));
        try {
            Process process = new ProcessBuilder(all).redirectErrorStream(true).start();
            String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.ISO_8859_1);
            return process.waitFor() + ": " + said;
        } catch (IOException e) {
            return "-1: " + e.getMessage();
        }
    }

    /** By the socket's mode; and where that was changed, by the credentials that the kernel gives of the peer. */
    @Test
    void anotherUserIsNotServed() throws Exception {
        assumeTrue(asAnother("true").startsWith("0"), "becoming another user takes root and setpriv");
        Path stranger = Files.writeString(directory.resolve("Stranger.java"), STRANGER);
        Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwx--x--x"));
        String[] hello = {
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            stranger.toString(),
            socket().toString(),
            Integer.toString(Op.ATTACH),
            Long.toString(Wire.MAGIC),
            Integer.toString(Wire.VERSION)
        };
        assumeTrue(asAnother(hello[0], "--version").startsWith("0"), "another user may run this JDK");
        try (SimdServer server = start()) {
            String said = asAnother(hello);
            assertTrue(said.startsWith("1: ") && said.contains("Permission denied"), said);
            Files.setPosixFilePermissions(socket(), PosixFilePermissions.fromString("rw-rw-rw-"));
            said = asAnother(hello);
            assertTrue(said.contains("serves the user with uid " + server.uid() + " alone"), said);
        }
    }

    @Test
    void guestsFramesStayOutOfCoreDumps() throws Exception {
        try (SimdServer server = start();
                PageCache cache = PageCache.open(SimdVictim.config(socket(), "dumped", PAGE))) {
            assertTrue(cache.health().healthy() && server.machine().frames() > 0);
            int mappings = 0;
            boolean ours = false;
            for (String line : Files.readAllLines(Path.of("/proc/self/smaps"))) {
                if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
                    ours = line.contains("memfd:warmcache");
                    mappings += ours ? 1 : 0;
                } else if (ours && line.startsWith("VmFlags:")) {
                    assertTrue(line.contains(" dd"), line);
                }
            }
            assertTrue(mappings >= 2, "the guest's and the VMM's mappings: " + mappings);
        }
    }

    private static boolean holdsSecret(Path memory) throws IOException {
        return new String(Files.readAllBytes(memory), StandardCharsets.ISO_8859_1)
                .contains(new String(SECRET, StandardCharsets.ISO_8859_1));
    }

    @Test
    void whatIsNoSocketIsNotRemovedToListenInItsPlace() throws Exception {
        Path file = Files.write(socket(), SECRET);
        IOException e = assertThrows(IOException.class, this::start);
        assertTrue(e.getMessage().contains("is no socket"), e.getMessage());
        assertArrayEquals(SECRET, Files.readAllBytes(file));
        Files.delete(file);
        Files.createDirectory(file);
        e = assertThrows(IOException.class, this::start);
        assertTrue(e.getMessage().contains("is no socket"), e.getMessage());
        assertTrue(Files.isDirectory(file));
    }

    @Test
    void aDroppedGuestsMemoryHoldsNoPlaintext() throws Exception {
        byte[] content = new byte[4 * PAGE];
        for (int at = 0; at + SECRET.length <= content.length; at += SECRET.length) {
            System.arraycopy(SECRET, 0, content, at, SECRET.length);
        }
        Path file = Files.write(directory.resolve("data"), content);
        try (SimdServer server = start()) {
            PageCache cache = PageCache.open(SimdVictim.config(socket(), "secret", PAGE));
            PagedFile mapped = cache.map(file, MapOptions.DEFAULT);
            assertEquals(content.length, mapped.read(0, MemorySegment.ofArray(new byte[content.length])));
            Domain domain = Objects.requireNonNull(server.machine().domain("secret"));
            int kept = Libc.duplicate(Objects.requireNonNull(domain.memory()).fd(), "evidence");
            try {
                Path evidence = Path.of("/proc/self/fd/" + kept);
                assertTrue(holdsSecret(evidence));
                cache.drop();
                assertTrue(!holdsSecret(evidence), "plaintext is left in memory that was dropped");
            } finally {
                Libc.close(kept);
            }
        }
    }
}
