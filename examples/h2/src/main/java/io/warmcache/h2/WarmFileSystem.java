/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.DoubtPolicy;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.util.Arrays;
import java.util.Locale;
import org.h2.store.fs.FilePath;
import org.jspecify.annotations.Nullable;

/**
 * The {@code warm:} scheme of H2's file system abstraction, on one {@link PageCache}. A process has one at a time;
 * any number of databases and stores use it. Safe for use by many threads.
 *
 * <pre>{@code
 * try (var warm = WarmFileSystem.open(CacheConfig.of("orders", 512L << 20), MapOptions.DEFAULT)) {
 *     var connection = DriverManager.getConnection("jdbc:h2:warm:/data/orders");
 *     ...
 * }
 * }</pre>
 *
 * <p>Without a call in the program, a first use of the scheme opens a cache from system properties: {@code
 * warmcache.h2.name} and {@code warmcache.h2.capacity} (bytes, or with a suffix {@code k}, {@code m}, {@code g}) are
 * needed; {@code warmcache.h2.pageSize}, {@code warmcache.h2.backend}, {@code warmcache.h2.policy} ({@code
 * write-through}, {@code write-back}), {@code warmcache.h2.ioMode} ({@code auto}, {@code direct}, {@code buffered})
 * and {@code warmcache.h2.doubt} ({@code drop}, {@code verify}) may be set. Such a cache stays open until the process
 * ends, however it ends.
 *
 * <p>Where no cache is installed, or after {@link #close()}, every use of a {@code warm:} path is an exception. H2
 * takes a scheme that it does not know for a part of a plain path; it knows {@code warm:} as soon as this class is
 * loaded, which a connection through {@link java.sql.DriverManager} does by itself.
 */
public final class WarmFileSystem implements AutoCloseable {
    /** The scheme, without its colon. */
    public static final String SCHEME = "warm";

    private static final String PROPERTY = "warmcache.h2.";

    private static final ScopedValue<Boolean> READING_ONCE = ScopedValue.newInstance();

    private static @Nullable WarmFileSystem current;

    static {
        FilePath.register(WarmPath.ROOT);
    }

    private final PageCache cache;
    private final boolean ownsCache;
    private final WarmFiles files;

    private WarmFileSystem(PageCache cache, MapOptions options, boolean ownsCache) {
        this.cache = cache;
        this.ownsCache = ownsCache;
        this.files = new WarmFiles(cache, options);
    }

    /** {@link #install(PageCache, MapOptions)} with {@link MapOptions#DEFAULT}: write-through. */
    public static WarmFileSystem install(PageCache cache) {
        return install(cache, MapOptions.DEFAULT);
    }

    /**
     * Makes {@code warm:} paths use {@code cache}, which stays the caller's to close, after this.
     *
     * @param options how files are mapped. Whether a missing file is created is up to the mode it is opened in; with
     *     {@link MapOptions#readOnly()} no file can be written
     * @throws IllegalStateException if another one is installed and not closed
     */
    public static synchronized WarmFileSystem install(PageCache cache, MapOptions options) {
        requireNoneInstalled();
        WarmFileSystem installed = new WarmFileSystem(cache, options, false);
        current = installed;
        return installed;
    }

    /**
     * Opens a cache and makes {@code warm:} paths use it; {@link #close()} closes the cache too.
     *
     * @throws IllegalStateException if another one is installed and not closed
     * @throws IOException as {@link PageCache#open}
     */
    public static synchronized WarmFileSystem open(CacheConfig config, MapOptions options) throws IOException {
        requireNoneInstalled();
        WarmFileSystem opened = new WarmFileSystem(PageCache.open(config), options, true);
        current = opened;
        return opened;
    }

    /**
     * Runs {@code work}, and takes what this thread reads from {@code warm:} files meanwhile for not wanted again soon,
     * as {@link io.warmcache.PagedFile#readOnce} does. To be put around the opening of an MVStore, which after an
     * unclean stop looks at both ends of every chunk, around its compaction, and around backups: none of them then
     * displaces what the cache has kept.
     *
     * @return what {@code work} returns
     * @throws X what {@code work} throws
     */
    public static <T, X extends Throwable> T readingOnce(ScopedValue.CallableOp<? extends T, X> work) throws X {
        return ScopedValue.where(READING_ONCE, true).call(work);
    }

    static boolean isReadingOnce() {
        return READING_ONCE.isBound();
    }

    /** Loads this class, and thereby registers the scheme. */
    static void register() {}

    /**
     * The file system that is installed now, opened from system properties where none was.
     *
     * @throws CacheClosedException if the last one was closed
     * @throws CacheException if there is none
     */
    static synchronized WarmFileSystem current() {
        WarmFileSystem found = current;
        if (found == null) {
            found = openFromProperties();
            current = found;
        }
        if (found.files.isClosed()) {
            throw new CacheClosedException("the warm: file system on cache \"" + found.cache.config().name()
                    + "\" was closed: install another before using warm: paths");
        }
        return found;
    }

    /** The cache beneath. */
    public PageCache cache() {
        return cache;
    }

    /**
     * Closes every file that is still open (the databases on them fail from then on, so close those first), and the
     * cache if {@link #open} opened it. The scheme stays known to H2 and its use an exception, until another one is
     * installed. Closing again has no effect.
     *
     * @throws IOException if a file or the cache could not write what was dirty; all are closed none the less
     */
    @Override
    public void close() throws IOException {
        if (!files.markClosed()) {
            return;
        }
        Cleanup cleanup = new Cleanup();
        cleanup.run(files::closeChannels);
        if (ownsCache) {
            cleanup.run(cache::close);
        }
        cleanup.throwFirst();
    }

    WarmFiles files() {
        return files;
    }

    private static void requireNoneInstalled() {
        WarmFileSystem found = current;
        if (found != null && !found.files.isClosed()) {
            throw new IllegalStateException("the warm: file system is installed on cache \""
                    + found.cache.config().name() + "\" already: close that one first");
        }
    }

    private static WarmFileSystem openFromProperties() {
        String name = System.getProperty(PROPERTY + "name");
        String capacity = System.getProperty(PROPERTY + "capacity");
        if (name == null || capacity == null) {
            throw new CacheException("the warm: file system is not installed: call WarmFileSystem.install or .open"
                    + " before using warm: paths, or start the JVM with -D" + PROPERTY + "name=NAME and -D" + PROPERTY
                    + "capacity=BYTES");
        }
        CacheConfig config = CacheConfig.of(name, bytes(capacity));
        String pageSize = System.getProperty(PROPERTY + "pageSize");
        if (pageSize != null) {
            config = config.withPageSize(Math.toIntExact(bytes(pageSize)));
        }
        config = config.withBackend(System.getProperty(PROPERTY + "backend", config.backend()));
        MapOptions options = MapOptions.DEFAULT
                .withPolicy(choice("policy", MapOptions.DEFAULT.policy(), WritePolicy.class))
                .withIoMode(choice("ioMode", MapOptions.DEFAULT.ioMode(), IoMode.class))
                .withDoubt(choice("doubt", MapOptions.DEFAULT.doubt(), DoubtPolicy.class));
        try {
            return new WarmFileSystem(PageCache.open(config), options, true);
        } catch (IOException e) {
            throw new CacheException("the cache \"" + name + "\" of the warm: file system cannot be opened: "
                    + e.getMessage(), e);
        }
    }

    private static <E extends Enum<E>> E choice(String key, E preset, Class<E> type) {
        String value = System.getProperty(PROPERTY + key);
        if (value == null) {
            return preset;
        }
        for (E constant : type.getEnumConstants()) {
            if (constant.name().equals(value.toUpperCase(Locale.ROOT).replace('-', '_'))) {
                return constant;
            }
        }
        throw new IllegalArgumentException("-D" + PROPERTY + key + "=" + value + ": it must be one of "
                + String.join(", ", Arrays.stream(type.getEnumConstants())
                        .map(constant -> constant.name().toLowerCase(Locale.ROOT).replace('_', '-'))
                        .toList()));
    }

    /** Parses a number of bytes with an optional suffix k, m or g. */
    static long bytes(String text) {
        String digits = text.strip().toLowerCase(Locale.ROOT);
        int shift = digits.isEmpty() ? -1 : "kmg".indexOf(digits.charAt(digits.length() - 1));
        try {
            return shift < 0
                    ? Long.parseLong(digits)
                    : Math.multiplyExact(Long.parseLong(digits.substring(0, digits.length() - 1)),
                            1L << (10 * (shift + 1)));
        } catch (NumberFormatException | ArithmeticException e) {
            throw new IllegalArgumentException(
                    "\"" + text + "\" is not a number of bytes: write digits, and k, m or g after them if you like", e);
        }
    }
}
