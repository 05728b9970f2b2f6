/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import com.sun.management.HotSpotDiagnosticMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/** Checks, before memory is taken, that it can be had: running out later is a signal or the OOM killer. */
final class MemoryBudget {
    /** Where the kernel shows this process's control groups; a test shows others. */
    private final Path procSelf;

    private final long heap;
    private final LongSupplier direct;
    private final LongSupplier own;

    /**
     * A budget for a JVM.
     *
     * @param heap bytes that its heap may grow to
     * @param direct bytes that its direct buffers may grow to
     * @param own bytes that it needs for itself
     */
    MemoryBudget(Path procSelf, long heap, LongSupplier direct, LongSupplier own) {
        this.procSelf = procSelf;
        this.heap = heap;
        this.direct = direct;
        this.own = own;
    }

    static MemoryBudget ofThisProcess() {
        long heap = Runtime.getRuntime().maxMemory();
        // The management beans are slow to start, and only needed where there is a limit.
        return new MemoryBudget(
                Path.of("/proc/self"),
                heap,
                () -> maxDirect(heap),
                () -> ManagementFactory.getMemoryMXBean().getNonHeapMemoryUsage().getCommitted());
    }

    private static long maxDirect(long heap) {
        HotSpotDiagnosticMXBean bean = ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
        if (bean == null) {
            return heap;
        }
        try {
            long set = Long.parseLong(bean.getVMOption("MaxDirectMemorySize").getValue());
            return set == 0 ? heap : set;
        } catch (IllegalArgumentException e) {
            return heap;
        }
    }

    /**
     * Checks the file system.
     *
     * @param allocated bytes that the file has already
     * @throws IOException if the rest does not fit; names both sizes and the mend
     */
    static void requireSpace(String path, FsStat fs, long length, long allocated) throws IOException {
        long more = Math.max(0, length - allocated);
        boolean unlimited = (fs.type() == FsStat.TMPFS || fs.type() == FsStat.HUGETLBFS) && fs.total() <= 0;
        if (unlimited || more <= fs.available()) {
            return;
        }
        int slash = path.lastIndexOf('/');
        String directory = slash <= 0 ? "/" : path.substring(0, slash);
        throw new IOException("the file system of " + directory + " has " + size(fs.available() + allocated)
                + " free of " + size(fs.total()) + ", the cache needs " + size(length) + ": "
                + (fs.type() == FsStat.TMPFS
                        ? "make it larger (mount -o remount,size=" + roundedUp(length) + " " + directory
                                + "; docker run --shm-size=" + roundedUp(length)
                                + "; in Kubernetes an emptyDir with medium Memory)"
                        : fs.type() == FsStat.HUGETLBFS
                                ? "reserve more huge pages (vm.nr_hugepages)"
                                : "free some space")
                + ", or configure a smaller capacity");
    }

    /**
     * Checks the memory limit of the control group of this process and of every one above it.
     *
     * @param path the segment's
     * @param length bytes of the segment
     * @param allocated bytes of it that exist already
     * @param huge whether they are huge pages, which the kernel takes from a pool of their own
     * @throws IOException if segment, heap and direct memory do not fit; names the sizes and the mend
     */
    void requireWithinLimits(String path, long length, long allocated, boolean huge) throws IOException {
        for (Group group : groups()) {
            boolean counted = !huge || group.countsHugePages();
            // Of the shared memory that exists, what is the segment's is counted with it.
            long others = Math.max(0, group.sharedMemory() - (counted ? allocated : 0));
            long direct = this.direct.getAsLong();
            long own = this.own.getAsLong();
            long need = (counted ? length : 0) + heap + direct + own;
            if (others + need > group.limit()) {
                throw new IOException("the memory limit in " + group.limitFile() + " is " + size(group.limit()) + ", "
                        + (counted ? "the cache needs " + size(length) + " beside " : "the JVM needs ") + size(heap)
                        + " of heap (-Xmx), " + size(direct) + " of direct memory (-XX:MaxDirectMemorySize) and "
                        + size(own) + " for classes and code"
                        + (others > 0
                                ? ", and " + size(others) + " of shared memory are there already" + leftOver(path)
                                : "")
                        + ": raise the limit, lower one of these, or skip this check with the option "
                        + ShmBackend.OPTION_CGROUP_CHECK + "=off");
            }
        }
    }

    /**
     * The most bytes that a segment may take for all of them to fit.
     *
     * @param allocated bytes of it that exist already
     * @return {@link Long#MAX_VALUE} where nothing is limited
     */
    long room(long allocated) throws IOException {
        long room = Long.MAX_VALUE;
        for (Group group : groups()) {
            long others = Math.max(0, group.sharedMemory() - allocated);
            room = Math.min(room, group.limit() - others - heap - direct.getAsLong() - own.getAsLong());
        }
        return room;
    }

    /** The other segments beside one, for a message. */
    private static String leftOver(String path) {
        Path segment = Path.of(path);
        Path directory = segment.getParent();
        if (directory == null) {
            return "";
        }
        StringBuilder found = new StringBuilder();
        try (DirectoryStream<Path> files = Files.newDirectoryStream(directory, SegmentFile.PREFIX + "*")) {
            for (Path file : files) {
                if (!file.equals(segment)) {
                    found.append(found.isEmpty() ? " (segments of caches, used or left over: " : ", ")
                            .append(file)
                            .append(" of ")
                            .append(size(Files.size(file)));
                }
            }
        } catch (IOException | DirectoryIteratorException e) {
            found.setLength(0);
        }
        return found.isEmpty() ? " (look for segments in " + directory + " that nobody uses)" : found + ")";
    }

    /**
     * A control group with a limit.
     *
     * @param sharedMemory bytes of shared memory charged to it, those of the segment included
     * @param countsHugePages whether huge pages are charged to it, too
     */
    record Group(Path limitFile, long limit, long sharedMemory, boolean countsHugePages) {}

    List<Group> groups() throws IOException {
        List<Group> groups = new ArrayList<>();
        for (Mount mount : mounts()) {
            String within = groupPath(mount.version());
            if (within == null) {
                continue;
            }
            Path top = Path.of(mount.point());
            for (Path p = locate(mount, within); p != null && p.startsWith(top); p = p.getParent()) {
                addGroup(groups, p, mount);
            }
        }
        return groups;
    }

    /**
     * The directory of a group that the kernel calls {@code within}, seen through a mount that may show only a part.
     */
    private static Path locate(Mount mount, String within) {
        Path top = Path.of(mount.point());
        Path path = Path.of(within).normalize();
        Path root = Path.of(mount.root()).normalize();
        if (within.contains("/..") || !path.startsWith(root)) {
            // Outside of what is mounted here: the nearest that can be seen.
            return top;
        }
        Path there = top.resolve(root.relativize(path).toString());
        return Files.isDirectory(there) ? there : top;
    }

    private static void addGroup(List<Group> groups, Path directory, Mount mount) throws IOException {
        Map<String, Long> stat = new HashMap<>();
        Path statFile = directory.resolve("memory.stat");
        if (Files.isReadable(statFile)) {
            for (String line : Files.readAllLines(statFile, StandardCharsets.US_ASCII)) {
                String[] words = line.split(" ", -1);
                if (words.length == 2) {
                    stat.put(words[0], number(words[1]));
                }
            }
        }
        long shared = stat.getOrDefault(mount.version() == 1 ? "total_shmem" : "shmem", 0L);
        for (String name : mount.version() == 1
                ? List.of("memory.limit_in_bytes")
                : List.of("memory.max", "memory.high")) {
            Path file = directory.resolve(name);
            if (!Files.isReadable(file)) {
                continue;
            }
            long limit = number(Files.readString(file, StandardCharsets.US_ASCII).strip());
            // Version 1 writes "no limit" as the largest multiple of a page.
            if (limit < Long.MAX_VALUE - (1 << 16)) {
                groups.add(new Group(file, limit, shared, mount.countsHugePages()));
            }
        }
    }

    private static long number(String text) {
        try {
            return text.equals("max") ? Long.MAX_VALUE : Long.parseLong(text);
        } catch (NumberFormatException e) {
            return Long.MAX_VALUE;
        }
    }

    /**
     * A mount of the memory controller.
     *
     * @param version 1 or 2
     * @param root the group it shows as its root
     * @param point where
     */
    private record Mount(int version, String root, String point, boolean countsHugePages) {}

    private List<Mount> mounts() throws IOException {
        List<Mount> mounts = new ArrayList<>();
        Path file = procSelf.resolve("mountinfo");
        if (!Files.isReadable(file)) {
            return mounts;
        }
        for (String line : Files.readAllLines(file, StandardCharsets.UTF_8)) {
            int dash = line.indexOf(" - ");
            if (dash < 0) {
                continue;
            }
            String[] left = line.substring(0, dash).split(" ", -1);
            String[] right = line.substring(dash + 3).split(" ", -1);
            if (left.length < 6 || right.length < 3) {
                continue;
            }
            boolean v2 = right[0].equals("cgroup2");
            List<String> options = List.of(right[2].split(",", -1));
            boolean v1 = right[0].equals("cgroup") && options.contains("memory");
            if (v1 || v2) {
                boolean huge = v2 && options.contains("memory_hugetlb_accounting");
                mounts.add(new Mount(v2 ? 2 : 1, unescape(left[3]), unescape(left[4]), huge));
            }
        }
        return mounts;
    }

    /** The kernel writes space, tab, newline and backslash in paths as octal. */
    private static String unescape(String path) {
        return path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\");
    }

    private @Nullable String groupPath(int version) throws IOException {
        Path file = procSelf.resolve("cgroup");
        if (!Files.isReadable(file)) {
            return null;
        }
        for (String line : Files.readAllLines(file, StandardCharsets.UTF_8)) {
            String[] parts = line.split(":", 3);
            if (parts.length < 3) {
                continue;
            }
            boolean found = version == 2
                    ? parts[0].equals("0") && parts[1].isEmpty()
                    : List.of(parts[1].split(",", -1)).contains("memory");
            if (found) {
                return parts[2];
            }
        }
        return null;
    }

    private static String roundedUp(long bytes) {
        return Math.max(1, (bytes + (1 << 20) - 1) >> 20) + "m";
    }

    static String size(long bytes) {
        if (bytes < 1 << 20) {
            return bytes / 1024 + " KiB";
        }
        if (bytes < 1L << 30) {
            return amount(bytes / (double) (1 << 20)) + " MiB";
        }
        return amount(bytes / (double) (1L << 30)) + " GiB";
    }

    private static String amount(double value) {
        return value == Math.rint(value) && value < 1e9
                ? String.format(Locale.ROOT, "%.0f", value)
                : String.format(Locale.ROOT, "%.1f", value);
    }
}
