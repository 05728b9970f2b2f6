/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.cli;

import io.warmcache.core.inspect.ImageInspector;
import io.warmcache.core.inspect.ImageInspector.StoreState;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "image",
        mixinStandardHelpOptions = true,
        description = {
            "Tells what images and hot lists of a directory hold, and checks them: header, footer, and each page"
                    + " against its checksums.",
            "Changes nothing, and may be run while a cache writes there. An image of a store that was changed since is"
                    + " sound, but will be refused; a file's name and so its times are known from the hot lists alone."
        },
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {"0:all is sound", "1:something is damaged", "2:wrong arguments", "3:no such directory"})
final class ImageCommand implements Callable<Integer> {
    @Parameters(
            paramLabel = "DIRECTORY",
            description = "The directory of the cache's WarmUpOptions, or that of a checkpoint.")
    Path directory = Path.of("");

    @Option(names = "--quick", description = "Do not read the pages: headers, footers, tables and hot lists alone.")
    boolean quick;

    @Mixin
    Output output = new Output();

    /** The directory, as JSON. */
    record Result(
            String directory,
            boolean sound,
            boolean pagesRead,
            List<Image> images,
            List<HotList> hotLists,
            List<String> unfinished) {}

    /** One image, as JSON; of one whose header or footer is not whole only file and problems are known. */
    record Image(
            String file,
            long bytes,
            String store,
            String storeName,
            StoreState storeState,
            long storeBytes,
            int pageSize,
            String takenAt,
            long ageSeconds,
            long pages,
            long voidPages,
            long damagedPages,
            List<String> problems) {}

    /** One hot list, as JSON. */
    record HotList(String file, String writtenAt, long ageSeconds, List<HotStore> stores, String problem) {}

    /** One store of a hot list, as JSON. */
    record HotStore(String store, String name, long pages, List<Long> pagesByHeat) {}

    @Override
    public Integer call() throws IOException {
        ImageInspector.Contents contents;
        try (ProgressBar bar = ProgressBar.onTerminal("image")) {
            contents = ImageInspector.inspect(directory, !quick, bar::at);
        }
        Result result = result(contents);
        if (output.json) {
            output.json(result);
        } else {
            print(result);
        }
        return result.sound ? Warmcache.OK : Warmcache.WRONG;
    }

    private Result result(ImageInspector.Contents contents) {
        return new Result(
                directory.toString(),
                contents.sound(),
                !quick,
                Stream.concat(
                                contents.images().stream().map(ImageCommand::image),
                                contents.damagedImages().entrySet().stream().map(ImageCommand::unknown))
                        .toList(),
                contents.hotLists().stream().map(ImageCommand::hotList).toList(),
                contents.unfinished().stream().map(Path::toString).toList());
    }

    private static Image image(ImageInspector.Image image) {
        return new Image(
                image.file().toString(),
                image.bytes(),
                image.store().toString(),
                image.storeName(),
                image.storeState(),
                image.storeBytes(),
                image.pageSize(),
                image.takenAt().toString(),
                age(image.takenAt()),
                image.pages(),
                image.voidPages(),
                image.damagedPages(),
                image.problems());
    }

    private static Image unknown(Map.Entry<Path, String> damaged) {
        return new Image(
                damaged.getKey().toString(),
                0,
                "",
                "",
                StoreState.UNKNOWN,
                0,
                0,
                "",
                0,
                0,
                0,
                0,
                List.of(damaged.getValue()));
    }

    private static HotList hotList(ImageInspector.HotPages list) {
        return new HotList(
                list.file().toString(),
                list.writtenAt().toString(),
                age(list.writtenAt()),
                list.stores().stream()
                        .map(store -> new HotStore(
                                store.store().toString(),
                                store.name(),
                                store.pages().stream().mapToLong(Long::longValue).sum(),
                                store.pages()))
                        .toList(),
                list.problem());
    }

    private static long age(Instant then) {
        return Duration.between(then, Instant.now()).toSeconds();
    }

    private void print(Result result) {
        if (result.images.isEmpty() && result.hotLists.isEmpty()) {
            output.line("no image and no hot list in %s", directory);
        }
        for (Image image : result.images) {
            output.line("%s: %s", image.file, image.problems.isEmpty() ? "sound" : "DAMAGED");
            image.problems.forEach(problem -> output.line("  %s", problem));
            if (!image.store.isEmpty()) {
                print(image);
            }
        }
        for (HotList list : result.hotLists) {
            output.line("%s: %s", list.file, list.problem.isEmpty() ? "sound" : "DAMAGED");
            output.line("  written %s (%s)", list.writtenAt, agoOf(list.ageSeconds));
            if (!list.problem.isEmpty()) {
                output.line("  %s", list.problem);
            }
            for (HotStore store : list.stores) {
                String byHeat = store.pagesByHeat.stream()
                        .map(pages -> String.format(Locale.ROOT, "%,d", pages))
                        .collect(Collectors.joining(" + "));
                output.line("  %s: %,d pages, hottest first %s", store.name, store.pages, byHeat);
            }
        }
        result.unfinished.forEach(file -> output.line("%s: being written, or left by a process that was killed", file));
    }

    private void print(Image image) {
        output.line("  store %s%s", image.store, image.storeName.isEmpty() ? "" : ", " + image.storeName);
        output.line("  %s", switch (image.storeState) {
            case UNCHANGED -> "whose length and times are as they were: a cache restores the image";
            case CHANGED -> "which was CHANGED SINCE, or is gone: a cache refuses the image";
            case UNKNOWN -> "of which it cannot be told from here whether it was changed since";
        });
        output.line("  taken %s (%s), %s", image.takenAt, agoOf(image.ageSeconds), Output.size(image.bytes));
        output.line("  pages             %,12d, of %s each", image.pages, Output.size(image.pageSize));
        output.line("  written since     %,12d, which are not restored", image.voidPages);
        if (quick) {
            output.line("  damaged           %12s, as no page was read", "?");
        } else {
            output.line("  damaged           %,12d", image.damagedPages);
        }
    }

    /** An age as a person says it; the clock of the host that wrote it may have been ahead. */
    static String agoOf(long seconds) {
        if (seconds < 0) {
            return "in the future: clocks differ";
        }
        if (seconds < 120) {
            return seconds + " s ago";
        }
        if (seconds < 2 * 3600) {
            return seconds / 60 + " min ago";
        }
        return seconds < 48 * 3600 ? seconds / 3600 + " h ago" : seconds / 86400 + " days ago";
    }
}
