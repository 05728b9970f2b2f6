/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.ServiceLoader;
import org.jspecify.annotations.Nullable;

/**
 * An {@code xen-simd} within the calling process, for campaigns that break what it keeps: its guests are other
 * processes, as ever, while the memory and the records lie open to the caller. Thread-safe.
 */
public final class BreakableSimd implements AutoCloseable {
    private final SimdServer server;

    private BreakableSimd(SimdServer server) {
        this.server = server;
    }

    /**
     * What the VMM keeps of one machine frame.
     *
     * @param device the number of the virtual disk
     * @param block the block of it
     * @param checksum of the block
     * @param generation how often the cache frame was filled
     * @param state the state
     */
    public record Entry(long device, long block, long checksum, int generation, FrameState state) {}

    /**
     * Powers a machine on and listens.
     *
     * @param memory bytes of machine memory, 2 MiB to 1 TiB
     * @param disks the directory below which the virtual disks are
     */
    public static BreakableSimd start(Path socket, long memory, Path disks) throws IOException {
        List<BlockChecksum> checksums =
                ServiceLoader.load(BlockChecksum.class, BreakableSimd.class.getClassLoader()).stream()
                        .map(ServiceLoader.Provider::get)
                        .toList();
        return new BreakableSimd(SimdServer.start(socket, memory, disks, checksums));
    }

    private @Nullable Domain find(String domain) {
        return server.machine().domain(domain);
    }

    private Domain require(String domain) {
        Domain found = find(domain);
        if (found == null) {
            throw new IllegalArgumentException("there is no domain \"" + domain + "\"");
        }
        return found;
    }

    /** Whether the last guest of the domain is gone, its requests are drained and its disks closed. */
    public boolean isOff(String domain) {
        synchronized (server.machine()) {
            Domain found = find(domain);
            return found == null || (found.session == null && found.state() != Domain.State.RUNNING);
        }
    }

    /** The memory of one of the guest's page frames. */
    public MemorySegment frame(String domain, int pfn) {
        synchronized (server.machine()) {
            Domain found = require(domain);
            return found.frame(found.p2m(pfn));
        }
    }

    /** The record of one of the guest's page frames. */
    public Entry entry(String domain, int pfn) {
        synchronized (server.machine()) {
            Domain found = require(domain);
            MappingTable table = found.table();
            int mfn = found.p2m(pfn);
            return new Entry(
                    table.device[mfn], table.block[mfn], table.checksum[mfn], table.generation[mfn], table.state(mfn));
        }
    }

    /** Puts another record in its place, which no guest could. */
    public void enter(String domain, int pfn, Entry entry) {
        synchronized (server.machine()) {
            Domain found = require(domain);
            MappingTable table = found.table();
            int mfn = found.p2m(pfn);
            table.device[mfn] = entry.device();
            table.block[mfn] = entry.block();
            table.checksum[mfn] = entry.checksum();
            table.generation[mfn] = entry.generation();
            table.state(mfn, entry.state());
            if (table.reuse.get(mfn)) {
                found.protect(mfn);
            } else {
                found.writable(mfn);
            }
        }
    }

    /** Recounts owners, entries and type counts. */
    public void check() {
        server.machine().check();
    }

    @Override
    public void close() {
        server.close();
    }
}
