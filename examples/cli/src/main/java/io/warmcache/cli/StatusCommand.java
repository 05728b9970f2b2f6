/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.cli;

import io.warmcache.shm.ShmAudit;
import io.warmcache.shm.ShmInspector;
import io.warmcache.spi.FrameState;
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
            "Tells what caches hold, and who has them open: those named, or all in /dev/shm.",
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
            description = "Names, or absolute paths of their memory; none for all in /dev/shm.")
    List<String> caches = new ArrayList<>();

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
            String problem) {}

    @Override
    public Integer call() throws IOException {
        List<Status> all = new ArrayList<>();
        for (String cache : caches.isEmpty() ? found() : caches) {
            all.add(status(cache));
        }
        if (output.json) {
            output.json(all);
        } else if (all.isEmpty()) {
            output.line("no cache in %s", DIRECTORY);
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

    private static Status status(String cache) {
        try {
            ShmInspector.Contents contents = ShmInspector.inspect(CheckCommands.named(cache));
            return new Status(
                    cache,
                    contents.path(),
                    ShmAudit.holder(CheckCommands.named(cache)),
                    contents.lastOwner(),
                    contents.cleanStop(),
                    contents.unfinishedAttaches(),
                    contents.pageSize(),
                    contents.frames(),
                    new TreeMap<>(contents.whole()),
                    contents.damaged(),
                    "");
        } catch (IOException e) {
            return new Status(cache, "", 0, 0, false, 0, 0, 0, Map.of(), 0, String.valueOf(e.getMessage()));
        }
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
        if (status.unfinishedAttaches > 0) {
            output.line("  %d attaches in a row have not ended their recovery", status.unfinishedAttaches);
        }
    }
}
