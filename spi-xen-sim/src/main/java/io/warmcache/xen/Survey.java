/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What the VMM tells of its caches to who is no guest of them: changes nothing, and waits for nobody. */
final class Survey {
    /** The most files, and bytes of a name, of one answer: together less than a message. */
    private static final int MOST_FILES = 500;

    private static final int MOST_NAME = 300;

    private final Machine machine;
    private final List<BlockChecksum> checksums;

    Survey(Machine machine, List<BlockChecksum> checksums) {
        this.machine = machine;
        this.checksums = checksums;
    }

    void list(ByteBuffer out) {
        List<String> names = machine.names();
        int count = Math.min(names.size(), 1000);
        out.putInt(count);
        names.subList(0, count).forEach(name -> Wire.put(out, name));
    }

    /**
     * The cache of that name.
     *
     * @throws IOException if there is none
     */
    Asked of(String name) throws IOException {
        synchronized (machine) {
            Domain domain = machine.domain(name);
            if (domain == null || !domain.used) {
                throw new IOException("there is no cache named \"" + name + "\": " + machine.names() + " are here");
            }
            return new Asked(domain);
        }
    }

    /** One cache. */
    final class Asked {
        private final Domain domain;
        private final int blocks;

        private Asked(Domain domain) {
            this.domain = domain;
            blocks = Math.max(1, domain.pageSize / Machine.FRAME_SIZE);
        }

        /** With what its guest has logged taken into account. */
        private void takeEvents() {
            if (domain.session instanceof SimdSession session) {
                session.takeEvents();
            }
        }

        private FrameState state(int frame) {
            int mfn = domain.p2m(frame * blocks);
            return mfn < 0 ? FrameState.FREE : domain.table().state(mfn);
        }

        void describe(ByteBuffer out) {
            synchronized (machine) {
                takeEvents();
                Map<FrameState, Integer> byState = new EnumMap<>(FrameState.class);
                Map<Long, int[]> byFile = new HashMap<>();
                for (int frame = 0; frame < domain.frames; frame++) {
                    FrameState state = state(frame);
                    byState.merge(state, 1, Integer::sum);
                    if (state != FrameState.FREE && state != FrameState.FILLING) {
                        long device = domain.table().device[domain.p2m(frame * blocks)];
                        byFile.computeIfAbsent(device, id -> new int[2])[state == FrameState.DIRTY ? 1 : 0]++;
                    }
                }
                out.putLong(domain.session instanceof SimdSession session ? session.pid() : 0);
                Wire.put(out, domain.state().name());
                out.put((byte) (domain.cleanStop ? 1 : 0)).putInt(domain.unfinished);
                out.putInt(domain.pageSize).putInt(domain.frames).putInt(domain.pages() / blocks);
                for (FrameState state : FrameState.values()) {
                    out.putInt(byState.getOrDefault(state, 0));
                }
                List<Device> devices = domain.devices().values().stream()
                        .sorted(Comparator.comparingLong(device -> device.id))
                        .limit(MOST_FILES)
                        .toList();
                out.putInt(devices.size());
                for (Device device : devices) {
                    int[] counts = byFile.getOrDefault(device.id, new int[2]);
                    out.putLong(device.id);
                    Wire.put(out, device.name.substring(0, Math.min(device.name.length(), MOST_NAME)));
                    out.putInt(counts[0]).putInt(counts[1]);
                }
            }
        }

        /** Frame by frame, so that guests are served meanwhile. */
        void verify(ByteBuffer out) throws IOException {
            BlockChecksum checksum = checksums.stream()
                    .filter(each -> each.algorithmId() == domain.algorithm)
                    .findFirst()
                    .orElseThrow(() -> new IOException("xen-simd does not know the checksum algorithm "
                            + domain.algorithm + ": start it with the guest's class path"));
            int[] counts = new int[6];
            for (int frame = 0; frame < domain.frames; frame++) {
                counts[0]++;
                synchronized (machine) {
                    if (frame >= domain.frames || domain.state() == Domain.State.DESTROYED) {
                        break;
                    }
                    look(frame, checksum, counts);
                }
            }
            for (int count : counts) {
                out.putInt(count);
            }
        }

        private void look(int frame, BlockChecksum checksum, int[] counts) {
            takeEvents();
            FrameState state = state(frame);
            if (state == FrameState.FREE) {
                return;
            }
            counts[1]++;
            if (state != FrameState.CLEAN && state != FrameState.WRITTEN) {
                counts[2]++;
            } else if (!GuestBackend.agree(domain, frame, blocks)) {
                counts[3]++;
            } else if (!matches(frame, checksum)) {
                // A guest tells of its stores before it makes them: one that was told of by now is no damage.
                takeEvents();
                counts[state(frame) == state ? 4 : 5]++;
            }
        }

        private boolean matches(int frame, BlockChecksum checksum) {
            MappingTable table = domain.table();
            for (int b = 0; b < blocks; b++) {
                int mfn = domain.p2m(frame * blocks + b);
                long sum = checksum.block(
                        machine.memory(),
                        (long) mfn * Machine.FRAME_SIZE,
                        domain.incarnation(),
                        table.device[mfn],
                        table.block[mfn] / blocks,
                        b,
                        table.generation[mfn]);
                if (sum != table.checksum[mfn]) {
                    return false;
                }
            }
            return true;
        }
    }
}
