/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.inspect;

import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.core.image.DamagedImageException;
import io.warmcache.core.image.FileDisk;
import io.warmcache.core.image.HotList;
import io.warmcache.core.image.ImageReader;
import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.roaringbitmap.RoaringBitmap;

/**
 * Looks at the images and hot lists of a directory without a cache: for tools. Reads and changes nothing, and may be
 * used while a cache writes there: an image that it deletes meanwhile is left out. Safe for use by many threads.
 */
public final class ImageInspector {
    private static final int MOST_PROBLEMS = 16;

    private ImageInspector() {}

    /** Whether the store of an image is as it was when the image was sealed, as far as it can be told from outside. */
    public enum StoreState {
        /** A plain file of the same length and times. */
        UNCHANGED,
        /** A plain file of another length or other times, or none: a cache that maps it refuses the image. */
        CHANGED,
        /** The hot lists do not name it, or its version is not made of a file's times. */
        UNKNOWN
    }

    /**
     * One image.
     *
     * @param file where it is
     * @param bytes length of the file
     * @param store identity of the store
     * @param storeName the name that a hot list of the directory has for the store; empty if none has
     * @param storeState whether the store was changed since
     * @param storeBytes length of the store when the image was sealed
     * @param pageSize bytes of a page
     * @param takenAt when it was begun, by the clock of its host
     * @param pages pages in it
     * @param voidPages of these, those that were written after they were copied and are not restored
     * @param damagedPages of these, those that are lost; 0 if pages were not read
     * @param problems what is wrong, the first few; empty if nothing is
     */
    public record Image(
            Path file,
            long bytes,
            StoreId store,
            String storeName,
            StoreState storeState,
            long storeBytes,
            int pageSize,
            Instant takenAt,
            long pages,
            long voidPages,
            long damagedPages,
            List<String> problems) {
        public Image {
            problems = List.copyOf(problems);
        }
    }

    /**
     * One store in a hot list.
     *
     * @param store its identity
     * @param name its name
     * @param pages how many pages are listed, by class of heat, the hottest first
     */
    public record HotStore(StoreId store, String name, List<Long> pages) {
        public HotStore {
            pages = List.copyOf(pages);
        }
    }

    /**
     * One hot list.
     *
     * @param file where it is
     * @param writtenAt when it was last written
     * @param stores what it lists; empty if it is damaged
     * @param problem what is wrong; empty if nothing is
     */
    public record HotPages(Path file, Instant writtenAt, List<HotStore> stores, String problem) {
        public HotPages {
            stores = List.copyOf(stores);
        }
    }

    /**
     * What a directory holds.
     *
     * @param images by name
     * @param damagedImages images whose header or footer is not whole, so that no more is known of them, with the why
     * @param hotLists by name
     * @param unfinished temporary files: of images and hot lists being written, or left by a process that was killed
     */
    public record Contents(
            List<Image> images, Map<Path, String> damagedImages, List<HotPages> hotLists, List<Path> unfinished) {
        public Contents {
            images = List.copyOf(images);
            damagedImages = Collections.unmodifiableMap(new TreeMap<>(damagedImages));
            hotLists = List.copyOf(hotLists);
            unfinished = List.copyOf(unfinished);
        }

        /** Whether nothing of it is damaged. */
        public boolean sound() {
            return damagedImages.isEmpty()
                    && images.stream().allMatch(image -> image.problems().isEmpty())
                    && hotLists.stream().allMatch(list -> list.problem().isEmpty());
        }
    }

    /** Told how far the reading is. */
    public interface Progress {
        /** {@code done} of {@code all} bytes were read. */
        void at(long done, long all);
    }

    /**
     * Looks at the images and hot lists of {@code directory}, not at those below it.
     *
     * @param readPages whether every page of every image is read, decompressed, and compared with its checksums; else
     *     only headers, footers, tables and hot lists are
     * @throws IOException if the directory cannot be read; what cannot be read in it is told in the result
     */
    public static Contents inspect(Path directory, boolean readPages, Progress progress) throws IOException {
        if (!Files.isDirectory(directory)) {
            throw new IOException(directory + " is no directory: name the one to which the cache's images are written");
        }
        List<HotPages> hotLists = new ArrayList<>();
        for (Path file : files(directory, "*.wchot")) {
            addHotList(file, hotLists);
        }
        List<Path> files = files(directory, "*.wcimg");
        long all = 0;
        for (Path file : files) {
            all += length(file);
        }
        Look look = new Look(hotLists, readPages, progress, all);
        for (Path file : files) {
            look.at(file);
        }
        List<Path> unfinished = files(directory, "*.{wcimg,wcimg.close,wchot}.tmp");
        return new Contents(look.images, look.damaged, hotLists, unfinished);
    }

    private static List<Path> files(Path directory, String pattern) throws IOException {
        List<Path> files = new ArrayList<>();
        try (DirectoryStream<Path> found = Files.newDirectoryStream(directory, pattern)) {
            found.forEach(files::add);
        } catch (DirectoryIteratorException e) {
            throw e.getCause();
        }
        Collections.sort(files);
        return files;
    }

    /** The length of a file, 0 if it is gone. */
    private static long length(Path file) throws IOException {
        try {
            return Files.size(file);
        } catch (NoSuchFileException e) {
            return 0;
        }
    }

    private static void addHotList(Path file, List<HotPages> lists) throws IOException {
        Instant writtenAt = Instant.EPOCH;
        try {
            writtenAt = Files.getLastModifiedTime(file).toInstant();
            List<HotStore> stores = HotList.read(FileDisk.INSTANCE, file).stream()
                    .map(entry -> new HotStore(
                            entry.store(),
                            entry.name(),
                            entry.classes().stream()
                                    .map(RoaringBitmap::getLongCardinality)
                                    .toList()))
                    .toList();
            lists.add(new HotPages(file, writtenAt, stores, ""));
        } catch (NoSuchFileException e) {
            return; // its cache was just replacing it, or it was removed
        } catch (DamagedImageException e) {
            lists.add(new HotPages(file, writtenAt, List.of(), String.valueOf(e.getMessage())));
        } catch (IOException e) {
            lists.add(new HotPages(file, writtenAt, List.of(), unreadable(e)));
        }
    }

    private static String unreadable(IOException e) {
        return "it cannot be read: " + e;
    }

    /** One call's reading of all images. */
    private static final class Look {
        private final List<HotPages> hotLists;
        private final boolean readPages;
        private final Progress progress;
        private final long all;
        private long done;
        final List<Image> images = new ArrayList<>();
        final Map<Path, String> damaged = new TreeMap<>();

        Look(List<HotPages> hotLists, boolean readPages, Progress progress, long all) {
            this.hotLists = hotLists;
            this.readPages = readPages;
            this.progress = progress;
            this.all = all;
        }

        void at(Path file) throws IOException {
            long length = length(file);
            try (ImageReader reader = new ImageReader(FileDisk.INSTANCE.open(file))) {
                images.add(look(file, length, reader));
            } catch (NoSuchFileException e) {
                return; // deleted before its store was written
            } catch (DamagedImageException e) {
                damaged.put(file, String.valueOf(e.getMessage()));
            } catch (IOException e) {
                damaged.put(file, unreadable(e));
            }
            done += length;
            progress.at(Math.min(done, all), all);
        }

        private Image look(Path file, long length, ImageReader reader) throws IOException {
            Set<String> problems = new LinkedHashSet<>();
            if (!String.valueOf(file.getFileName()).equals(reader.store() + ".wcimg")) {
                problems.add("no cache looks for it under this name: it should be " + reader.store() + ".wcimg");
            }
            long damagedPages = 0;
            long voidPages = 0;
            for (int chunk = 0; chunk < reader.chunks(); chunk++) {
                int pages = 0;
                try {
                    pages = reader.readTable(chunk);
                    for (int i = 0; i < pages; i++) {
                        voidPages += reader.isVoid(reader.page(i)) ? 1 : 0;
                    }
                    if (readPages) {
                        damagedPages += damagedPages(reader, pages, problems);
                    }
                } catch (DamagedImageException e) {
                    damagedPages += pages == 0 ? reader.pagesOf(chunk) : pages;
                    problem(problems, String.valueOf(e.getMessage()));
                }
                progress.at(Math.min(all, done + (long) ((double) length * chunk / reader.chunks())), all);
            }
            String name = name(reader.store());
            return new Image(
                    file,
                    length,
                    reader.store(),
                    name,
                    state(name, reader.version()),
                    reader.size(),
                    reader.pageSize(),
                    Instant.ofEpochMilli(reader.takenAt()),
                    reader.pages(),
                    voidPages,
                    damagedPages,
                    List.copyOf(problems));
        }

        private static long damagedPages(ImageReader reader, int pages, Set<String> problems) throws IOException {
            reader.readPages();
            long damagedPages = 0;
            for (int i = 0; i < pages; i++) {
                if (!reader.isIntact(i)) {
                    damagedPages++;
                    problem(problems, "page " + reader.page(i) + " differs from its checksums");
                }
            }
            return damagedPages;
        }

        private static void problem(Set<String> problems, String problem) {
            if (problems.size() < MOST_PROBLEMS) {
                problems.add(problem);
            }
        }

        private String name(StoreId store) {
            return hotLists.stream()
                    .flatMap(list -> list.stores().stream())
                    .filter(entry -> entry.store().equals(store))
                    .map(HotStore::name)
                    .findFirst()
                    .orElse("");
        }

        private static StoreState state(String name, StoreVersion version) {
            if (name.isEmpty() || version.strength() != StoreVersion.Strength.HEURISTIC) {
                return StoreState.UNKNOWN;
            }
            try {
                Map<String, Object> now = Files.readAttributes(Path.of(name), "unix:size,lastModifiedTime,ctime");
                if (now.get("size") instanceof Long size
                        && now.get("lastModifiedTime") instanceof FileTime modified
                        && now.get("ctime") instanceof FileTime changed) {
                    StoreVersion present = new StoreVersion(
                            StoreVersion.Strength.HEURISTIC, size, nanos(modified), nanos(changed));
                    return version.provesUnchanged(present) ? StoreState.UNCHANGED : StoreState.CHANGED;
                }
                return StoreState.UNKNOWN;
            } catch (NoSuchFileException e) {
                return StoreState.CHANGED;
            } catch (IOException | InvalidPathException | UnsupportedOperationException e) {
                return StoreState.UNKNOWN;
            }
        }

        private static long nanos(FileTime time) {
            return time.to(TimeUnit.NANOSECONDS);
        }
    }
}
