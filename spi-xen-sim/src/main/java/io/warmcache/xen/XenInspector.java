/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.CacheConfig;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/** Looks at what an {@code xen-simd} records of caches, and changes nothing. Safe for use by many threads. */
public final class XenInspector {
    private XenInspector() {}

    /**
     * What is recorded of a cache, at one moment.
     *
     * @param guest pid of whoever has it open; 0 for nobody
     * @param state of its domain: {@code RUNNING}, also when it was left in order, or {@code CRASHED}
     * @param cleanStop whether its last guest detached in order
     * @param unfinishedAttaches attaches in a row that died before their recovery ended
     * @param pageSize bytes of a frame
     * @param frames frames that there are
     * @param room frames that there may be while it is open
     * @param byState frames by state
     * @param files those that it knows, open or not
     */
    public record Contents(
            String cache,
            long guest,
            String state,
            boolean cleanStop,
            int unfinishedAttaches,
            int pageSize,
            int frames,
            int room,
            Map<FrameState, Integer> byState,
            List<FileContents> files) {
        public Contents {
            byState = Map.copyOf(byState);
            files = List.copyOf(files);
        }
    }

    /**
     * What a cache holds of a file.
     *
     * @param id its number in the cache, never used again
     * @param name its path, or what an engine calls its store
     * @param resident frames that hold a page of it as it is in the file
     * @param dirty frames that hold a page of it with changes not written yet
     */
    public record FileContents(long id, String name, int resident, int dirty) {}

    /**
     * Frames compared with the checksums recorded of them, by the VMM, which alone has both.
     *
     * @param used frames that hold a page
     * @param inFlight of these, dirty ones and those being filled, which have no checksum yet
     * @param damaged those whose records contradict each other
     * @param wrong those whose bytes do not match their checksum
     * @param changing those that were written to meanwhile
     */
    public record Verified(int frames, int used, int inFlight, int damaged, int wrong, int changing) {
        /** Whether all that should match does. */
        public boolean sound() {
            return damaged == 0 && wrong == 0;
        }
    }

    /**
     * The cache's frames by state, as its last guest left them. Those {@code WRITTEN} are dropped by the next attach if
     * that guest died.
     *
     * @param config with the option {@code xen.socket}
     * @throws IOException if no {@code xen-simd} listens there, or it has no such cache
     * @throws io.warmcache.BusyException if a guest is attached
     * @throws IllegalArgumentException if the option is missing
     */
    public static Map<FrameState, Integer> inspect(CacheConfig config) throws IOException {
        return RemoteBackend.inspect(socket(config), config.name());
    }

    /**
     * The names of all caches, in order.
     *
     * @param socket where {@code xen-simd} listens
     * @throws IOException if none does
     */
    public static List<String> list(Path socket) throws IOException {
        NativeAccess.require();
        return RemoteBackend.hello(socket, Op.LIST, "", in -> {
            List<String> names = new ArrayList<>();
            for (int left = in.getInt(); left > 0; left--) {
                names.add(Wire.string(in));
            }
            return names;
        });
    }

    /**
     * What is recorded of a cache, in use or not.
     *
     * @param config as for {@link #inspect}
     * @throws IOException if no {@code xen-simd} listens there, or it has no such cache
     * @throws IllegalArgumentException if the option is missing
     */
    public static Contents describe(CacheConfig config) throws IOException {
        return RemoteBackend.hello(socket(config), Op.DESCRIBE, config.name(), in -> {
            long guest = in.getLong();
            String state = Wire.string(in);
            boolean clean = in.get() != 0;
            int unfinished = in.getInt();
            int pageSize = in.getInt();
            int frames = in.getInt();
            int room = in.getInt();
            Map<FrameState, Integer> byState = new EnumMap<>(FrameState.class);
            for (FrameState each : FrameState.values()) {
                byState.put(each, in.getInt());
            }
            List<FileContents> files = new ArrayList<>();
            for (int left = in.getInt(); left > 0; left--) {
                files.add(new FileContents(in.getLong(), Wire.string(in), in.getInt(), in.getInt()));
            }
            return new Contents(
                    config.name(), guest, state, clean, unfinished, pageSize, frames, room, byState, files);
        });
    }

    /**
     * Has the VMM compare every frame of a cache, in use or not, with its checksum.
     *
     * @param config as for {@link #inspect}
     * @throws IOException as {@link #describe}
     * @throws IllegalArgumentException if the option is missing
     */
    public static Verified verify(CacheConfig config) throws IOException {
        return RemoteBackend.hello(socket(config), Op.VERIFY, config.name(), in ->
                new Verified(in.getInt(), in.getInt(), in.getInt(), in.getInt(), in.getInt(), in.getInt()));
    }

    private static Path socket(CacheConfig config) {
        NativeAccess.require();
        String socket = config.options().get("xen.socket");
        if (socket == null) {
            throw new IllegalArgumentException("the option xen.socket says where xen-simd listens: it is missing");
        }
        return Path.of(socket);
    }
}
