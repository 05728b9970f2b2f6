/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.cli;

import io.warmcache.shm.ShmAudit;
import io.warmcache.shm.ShmInspector;
import io.warmcache.spi.FrameState;
import io.warmcache.xen.XenInspector;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

@Command(
        name = "status",
        mixinStandardHelpOptions = true,
        description = {
            "Tells what caches hold, of which files, and who has them open: those named, or all in /dev/shm or of an"
                    + " xen-simd.",
            "Reads their records, not their frames; of a cache in use the counts are of no one moment."
        },
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {"0:told", "2:wrong arguments", "3:a cache is missing or cannot be read"})
final class StatusCommand implements Callable<Integer> {
    private static final Path DIRECTORY = Path.of("/dev/shm");
    private static final String PREFIX = "warmcache.";

    @Parameters(
            paramLabel = "CACHE",
            arity = "0..*",
            description = "Names, or absolute paths of their memory; none for all there are.")
    List<String> caches = new ArrayList<>();

    @Mixin
    Where where = new Where();

    @Mixin
    Output output = new Output();

    /**
     * One cache, as JSON.
     *
     * @param holder pid of whoever has it open, as far as it can be seen; 0 for nobody
     * @param problem why nothing else is known; empty if it is
     */
    record Status(
            String cache,
            String path,
            long holder,
            long lastOwner,
            boolean cleanStop,
            long unfinishedAttaches,
            int pageSize,
            int frames,
            Map<FrameState, Integer> byState,
            int damagedRecords,
            List<FileStatus> files,
            String problem) {}

    /**
     * A file of a cache, as JSON.
     *
     * @param resident frames with a page of it as it is in the file
     * @param dirty frames with a page of it that was not written yet
     */
    record FileStatus(String path, int resident, int dirty) {}

    @Override
    public Integer call() throws IOException {
        List<Status> all = new ArrayList<>();
        Path socket = where.xen;
        for (String cache : caches.isEmpty() ? socket == null ? found() : XenInspector.list(socket) : caches) {
            all.add(status(cache));
        }
        if (output.json) {
            output.json(all);
        } else if (all.isEmpty()) {
            output.line("no cache in %s", socket == null ? DIRECTORY : socket);
        } else {
            all.forEach(this::print);
        }
        return all.stream().allMatch(status -> status.problem.isEmpty()) ? Warmcache.OK : Warmcache.FAILED;
    }

    private static List<String> found() throws IOException {
        List<String> names = new ArrayList<>();
        try (DirectoryStream<Path> files = Files.newDirectoryStream(DIRECTORY, PREFIX + "*")) {
            files.forEach(file -> names.add(file.getFileName().toString().substring(PREFIX.length())));
        }
        Collections.sort(names);
        return names;
    }

    private Status status(String cache) {
        try {
            return where.xen == null ? ofShm(cache) : ofXen(cache, where.xen);
        } catch (IOException e) {
            return new Status(
                    cache, "", 0, 0, false, 0, 0, 0, Map.of(), 0, List.of(), String.valueOf(e.getMessage()));
        }
    }

    private Status ofShm(String cache) throws IOException {
        ShmInspector.Contents contents = ShmInspector.inspect(where.config(cache));
        return new Status(
                cache,
                contents.path(),
                ShmAudit.holder(where.config(cache)),
                contents.lastOwner(),
                contents.cleanStop(),
                contents.unfinishedAttaches(),
                contents.pageSize(),
                contents.frames(),
                new TreeMap<>(contents.whole()),
                contents.damaged(),
                contents.files().stream()
                        .map(file -> new FileStatus(file.name(), file.resident(), file.dirty()))
                        .toList(),
                "");
    }

    private Status ofXen(String cache, Path socket) throws IOException {
        XenInspector.Contents contents = XenInspector.describe(where.config(cache));
        return new Status(
                cache,
                socket.toString(),
                contents.guest(),
                0,
                contents.cleanStop(),
                contents.unfinishedAttaches(),
                contents.pageSize(),
                contents.frames(),
                new TreeMap<>(contents.byState()),
                0,
                contents.files().stream()
                        .map(file -> new FileStatus(file.name(), file.resident(), file.dirty()))
                        .toList(),
                "");
    }

    private void print(Status status) {
        if (!status.problem.isEmpty()) {
            output.line("%s: %s", status.cache, status.problem);
            return;
        }
        output.line(
                "%s: %s in %s",
                status.cache, Output.size((long) status.frames * status.pageSize), status.path);
        String last = status.lastOwner == 0 ? "" : " (pid " + status.lastOwner + ")";
        output.line(
                "  %s",
                status.holder != 0
                        ? "in use by process " + status.holder
                        : status.cleanStop
                                ? "closed by its last owner" + last
                                : "its last owner" + last + " was killed, or is not to be seen from here");
        output.line("  %,d frames of %s", status.frames, Output.size(status.pageSize));
        status.byState.forEach((state, count) -> output.line("  %-8s %,12d", state, count));
        if (status.damagedRecords > 0) {
            output.line("  %-8s %,12d", "damaged", status.damagedRecords);
        }
        for (FileStatus file : status.files) {
            output.line("  %s: %,d pages, %,d of them dirty", file.path, file.resident + file.dirty, file.dirty);
        }
        if (status.unfinishedAttaches > 0) {
            output.line("  %d attaches in a row have not ended their recovery", status.unfinishedAttaches);
        }
    }
}
