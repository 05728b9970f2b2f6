/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.BufferOverflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A real {@code xen-simd} gets messages that no guest sends, while a real guest beside it goes on; and a real guest
 * gets answers that no {@code xen-simd} gives.
 */
final class WireTarget implements Target {
    private static final long MAGIC = 0x31444d4953584357L;
    private static final int ATTACH = 1;
    private static final int DROP_DOMAIN = 3;
    private static final int DETACH = 15;
    private static final int OK = 100;
    private static final int CALL = 101;
    private static final int[] OPS = {
        1, 2, 3, 4, 10, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23, 24, 25, 26, 27, 28, 30, 31, 32, 33, 34, 35, 36, 37, 38,
        39, 40, 100, 101, 102, 107
    };
    private static final int DOMAINS = 100;
    private static final int NEIGHBOUR_EVERY = 32;
    private static final long MOST_KIB = 1 << 20;

    private final Path directory;
    private final Path socket;
    private final Server daemon;
    private final PageCache neighbour;
    private final PagedFile file;
    private final byte[] content = new byte[60_000];
    private final ByteBuffer out = ByteBuffer.allocate(300 << 10).order(ByteOrder.LITTLE_ENDIAN);
    private final ByteBuffer in = ByteBuffer.allocate(300 << 10).order(ByteOrder.LITTLE_ENDIAN);
    private final ServerSocketChannel forged;
    private final Path forgedPath;
    private long runs;
    private long served;

    WireTarget() throws IOException {
        // Of a short name: a socket's path has 107 bytes.
        directory = Files.createTempDirectory("wc-fuzz-" + ProcessHandle.current().pid() + "-");
        socket = directory.resolve("s");
        forgedPath = directory.resolve("f");
        daemon = new Server(List.of(
                "io.warmcache.xen.XenSimd",
                "--socket", socket.toString(), "--memory", "256m", "--disks", directory.toString()));
        boolean done = false;
        try {
            new SplittableRandom(9).nextBytes(content);
            neighbour = PageCache.open(config(socket).withOwnerWait(Duration.ofSeconds(60)));
            file = neighbour.map(
                    new HeapStore(new StoreId(1, 2), StoreVersion.exact(3, 4), content.clone()), MapOptions.DEFAULT);
            forged = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
            forged.bind(UnixDomainSocketAddress.of(forgedPath));
            done = true;
        } finally {
            if (!done) {
                daemon.close();
            }
        }
    }

    private static CacheConfig config(Path socket) {
        return CacheConfig.of("neighbour", 16L << 12)
                .withBackend("xen")
                .withMaxFiles(4)
                .withOptions(Map.of("xen.socket", socket.toString()));
    }

    @Override
    public String run(RandomGenerator random) throws Exception {
        String outcome = random.nextInt(4) == 0 ? answer(random) : ask(random);
        daemon.requireWell();
        if (++runs % NEIGHBOUR_EVERY == 0) {
            byte[] read = new byte[content.length];
            int n = file.read(0, MemorySegment.ofArray(read));
            if (n != content.length || !Arrays.equals(read, content)) {
                throw new Finding("WRONG BYTES at the guest beside");
            }
            file.write(runs % 50_000, MemorySegment.ofArray(content).asSlice(runs % 50_000, 100));
            if (daemon.residentKib() > MOST_KIB) {
                throw new Finding("the daemon has grown to " + daemon.residentKib() + " KiB");
            }
            served++;
        }
        return outcome;
    }

    // ---- as a guest

    private String ask(RandomGenerator random) throws IOException {
        // In turn, since a guest that did not detach keeps its domain for up to a second.
        String domain = "d" + runs % DOMAINS;
        StringBuilder outcome = new StringBuilder("asked:");
        boolean attached;
        try (SocketChannel channel = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
            int first = random.nextInt(8) == 0 ? OPS[random.nextInt(OPS.length)] : random.nextInt(6) == 0 ? 2
                    : random.nextInt(6) == 0 ? 4 : ATTACH;
            hello(first, domain, random);
            int code = exchange(channel, random);
            outcome.append(' ').append(first <= 4 ? first : 0).append('>').append(code);
            attached = code == OK && first == ATTACH;
            int requests = random.nextInt(8);
            for (int i = 0; i < requests && code > 0; i++) {
                int op = OPS[4 + random.nextInt(OPS.length - 4)];
                out.clear().putInt(0).put((byte) op);
                fields(random);
                code = exchange(channel, random);
                if (code == CALL) {
                    code = exchangeAnswer(channel, random);
                }
                outcome.append(' ').append(code);
            }
            if (code > 0 && attached && random.nextInt(8) > 0) {
                out.clear().putInt(0).put((byte) DETACH);
                code = exchange(channel, null);
            }
        } catch (EOFException e) {
            outcome.append(" closed");
        } catch (IOException e) {
            // A broken pipe or a reset: the daemon has hung up on what it was sent.
            outcome.append(" reset");
        }
        if (random.nextInt(4) == 0) {
            drop(domain);
        }
        return outcome.length() > 40 ? outcome.substring(0, 40) : outcome.toString();
    }

    private void drop(String domain) throws IOException {
        try (SocketChannel channel = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
            out.clear().putInt(0).put((byte) DROP_DOMAIN).putLong(MAGIC).putInt(1);
            string(domain);
            var _ = exchange(channel, null);
        }
    }

    private void hello(int op, String domain, RandomGenerator random) {
        out.clear().putInt(0).put((byte) op);
        out.putLong(random.nextInt(16) == 0 ? random.nextLong() : MAGIC);
        out.putInt(random.nextInt(16) == 0 ? random.nextInt() : 1);
        if (random.nextInt(8) == 0) {
            fields(random);
            return;
        }
        string(domain);
        out.putLong(random.nextInt(8) == 0 ? Mutation.word(random) : 16L << 12);
        out.putInt(random.nextInt(8) == 0 ? (int) Mutation.word(random) : 4096);
        out.putInt(random.nextInt(8) == 0 ? (int) Mutation.word(random) : 1);
        out.putInt(random.nextInt(8) == 0 ? (int) Mutation.word(random) : 4);
        out.putInt(random.nextInt(8) == 0 ? (int) Mutation.word(random) : 0);
        // Not for ever: who waits here is this target.
        out.putLong(random.nextInt(4) == 0 ? -1 - random.nextInt(10) : 2_000_000_000L);
    }

    /** Fields as many requests have them, of any value. */
    private void fields(RandomGenerator random) {
        int count = random.nextInt(8);
        try {
            for (int i = 0; i < count; i++) {
                switch (random.nextInt(6)) {
                    case 0 -> out.put((byte) random.nextInt(4));
                    case 1 -> out.putInt(random.nextInt(6));
                    case 2 -> out.putInt((int) Mutation.word(random));
                    case 3 -> out.putLong(random.nextInt(40));
                    case 4 -> out.putLong(Mutation.word(random));
                    default -> {
                        switch (random.nextInt(3)) {
                            case 0 -> string(directory.resolve("disk" + random.nextInt(3)).toString());
                            case 1 -> string("/\0../" + random.nextInt());
                            default -> {
                                byte[] some = new byte[random.nextInt(1 << random.nextInt(14))];
                                out.putInt(some.length).put(some);
                            }
                        }
                    }
                }
            }
        } catch (BufferOverflowException e) {
            out.put(4, (byte) 200);
        }
    }

    private void string(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        out.putInt(bytes.length).put(bytes);
    }

    private int exchangeAnswer(SocketChannel channel, RandomGenerator random) throws IOException {
        out.clear().putInt(0).put((byte) (random.nextBoolean() ? OK : 102));
        fields(random);
        return exchange(channel, random);
    }

    /** Sends what was begun, perhaps changed, and waits for an answer; returns its code, or 0 if the end came. */
    private int exchange(SocketChannel channel, @Nullable RandomGenerator random)
            throws IOException {
        boolean grant = out.get(4) == 10;
        out.putInt(0, out.position() - 4);
        boolean whole = true;
        if (random != null && random.nextInt(12) == 0) {
            Mutation.any(out.array(), 0, out.position(), random);
            whole = false;
        }
        out.flip();
        while (out.hasRemaining()) {
            channel.write(out);
        }
        out.clear();
        if (!whole) {
            // Its length may promise more than comes.
            channel.shutdownOutput();
        }
        in.clear();
        int need = grant ? 1 : 5;
        while (in.position() < need) {
            if (channel.read(in) < 0) {
                return 0;
            }
            if (!grant && in.position() >= 5) {
                need = 4 + in.getInt(0);
                if (need < 5 || need > in.capacity()) {
                    throw new IllegalStateException("the daemon announces " + in.getInt(0) + " bytes");
                }
            }
        }
        if (!whole) {
            return 0;
        }
        return grant && in.get(0) == 'F' ? OK : in.get(4) & 0xFF;
    }

    // ---- as a daemon

    private String answer(RandomGenerator random) throws Exception {
        out.clear().putInt(0).put((byte) (random.nextInt(4) == 0 ? random.nextInt(256) : OK));
        if (random.nextInt(4) == 0) {
            fields(random);
        } else {
            out.putLong(1).putLong(2).putLong(random.nextLong()).putInt(random.nextInt(3));
            out.put((byte) random.nextInt(2)).put((byte) random.nextInt(2));
            string(random.nextBoolean() ? "" : "for a reason");
            out.putLong(5).putInt(random.nextInt(3)).putInt((int) (random.nextBoolean() ? 512 : Mutation.word(random)));
            out.putInt(1).putInt((int) (random.nextBoolean() ? 1 : Mutation.word(random)));
            out.putInt((int) (random.nextBoolean() ? 1 : Mutation.word(random))).putLong(Mutation.word(random));
        }
        int length = out.position();
        out.putInt(0, length - 4);
        if (random.nextInt(3) == 0) {
            Mutation.any(out.array(), 0, length, random);
        }
        byte[] message = Arrays.copyOf(out.array(), length);
        Thread teller = Thread.ofPlatform().start(() -> tell(message));
        try (PageCache cache = PageCache.open(config(forgedPath))) {
            return "answered: open, " + cache.recovery().warm();
        } catch (IOException | CacheException e) {
            return "answered: " + e.getClass().getSimpleName();
        } finally {
            teller.join();
        }
    }

    /** One connection: an answer, a byte without a descriptor, the end. */
    private void tell(byte[] message) {
        try (SocketChannel channel = forged.accept()) {
            ByteBuffer asked = ByteBuffer.allocate(4096);
            channel.read(asked);
            channel.write(ByteBuffer.wrap(message));
            channel.read(asked.clear());
            channel.write(ByteBuffer.wrap(new byte[] {'F'}));
        } catch (IOException e) {
            // The guest has hung up.
            assert e != null;
        }
    }

    @Override
    public long served() {
        return served;
    }

    @Override
    public void close() throws IOException {
        try {
            neighbour.close();
        } finally {
            daemon.close();
            forged.close();
            try (Stream<Path> all = Files.walk(directory)) {
                for (Path each : all.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(each);
                }
            }
        }
    }
}
