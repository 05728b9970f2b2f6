/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import io.warmcache.CacheConfig;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** What the command line says; picocli fills the fields. */
@Command(
        name = "kv-server",
        mixinStandardHelpOptions = true,
        versionProvider = ServerOptions.Version.class,
        sortOptions = false,
        usageHelpWidth = 100,
        description = {
            "A key-value server that speaks RESP2 and RESP3 and comes back warm after kill -9.",
            "",
            "Prints one line that starts with READY once clients are served; stops cleanly on SIGTERM and SHUTDOWN.",
            ""
        },
        footer = {
            "",
            "A SIZE is a number of bytes, or of KiB, MiB or GiB with k, m or g behind it: 512m.",
            "Exit codes: 0 stopped, 1 could not start, 2 wrong options, 3 the disk failed or the heap is full."
        })
final class ServerOptions {
    private static final long MIB = 1L << 20;
    /** MVStore keeps the place of a page within its chunk in 31 bits. */
    private static final long MAX_REQUEST_BYTES = 512 * MIB;

    /** Where the data file's bytes go. */
    enum StorageKind {
        WARM,
        PLAIN
    }

    @Option(
            names = "--bind",
            paramLabel = "ADDRESS",
            description = "Address to listen on (default: ${DEFAULT-VALUE}).")
    private String bind = "127.0.0.1";

    @Option(names = "--port", paramLabel = "N", description = "Port; 0 for any free one (default: ${DEFAULT-VALUE}).")
    private int port = 6379;

    @Option(
            names = "--dir",
            paramLabel = "DIR",
            description = "Directory of the data, made if missing (default: ${DEFAULT-VALUE}).")
    private Path dir = Path.of("kv-data");

    @Option(names = "--file", paramLabel = "FILE", description = "Data file (default: kv.mvstore in DIR).")
    private @Nullable Path file;

    @Option(
            names = "--storage",
            paramLabel = "KIND",
            description = "warm: through the page cache; plain: as H2 reads and writes files (default: warm).")
    private StorageKind storage = StorageKind.WARM;

    @Option(
            names = "--cache-name",
            paramLabel = "NAME",
            description = "Name of the cache's memory, one for each server at a time (default: kv-server).")
    private String cacheName = "kv-server";

    @Option(
            names = "--cache-size",
            paramLabel = "SIZE",
            converter = ByteSize.class,
            description = "The page cache (default: 512m).")
    private long cacheBytes = 512 * MIB;

    @Option(
            names = "--page-size",
            paramLabel = "SIZE",
            converter = ByteSize.class,
            description = "A page of the cache, 4k to 64k (default: 4k).")
    private long cachePageBytes = 4096;

    @Option(
            names = "--io",
            paramLabel = "MODE",
            description = "direct, buffered, or auto: direct where the file system takes it (default: auto).")
    private IoMode ioMode = IoMode.AUTO;

    @Option(
            names = "--backend",
            paramLabel = "NAME",
            description = "What keeps the cache's memory (default: ${DEFAULT-VALUE}).")
    private String backend = "shm";

    @Option(
            names = "--backend-option",
            paramLabel = "KEY=VALUE",
            description = "Setting of what keeps the memory, such as xen.socket=PATH; may be given again.")
    private Map<String, String> backendOptions = new LinkedHashMap<>();

    @Option(
            names = "--durability",
            paramLabel = "WHEN",
            description = "everysec: a write is acknowledged at once and forced to disk within about a second; always:"
                    + " after it was forced, together with those that came meanwhile (default: everysec).")
    private Durability durability = Durability.EVERYSEC;

    @Option(
            names = "--mvstore-cache",
            paramLabel = "SIZE",
            converter = ByteSize.class,
            description = "MVStore's own cache on the heap, whole MiB, 0 for none (default: 4m).")
    private long mvstoreCacheBytes = 4 * MIB;

    @Option(
            names = "--mvstore-page",
            paramLabel = "SIZE",
            converter = ByteSize.class,
            description = "MVStore splits its pages above this (default: 8k).")
    private long mvstorePageBytes = 8192;

    @Option(
            names = "--threads",
            paramLabel = "N",
            description = "Event loops that serve the connections (default here: ${DEFAULT-VALUE}).")
    private int threads = Math.max(4, 2 * Runtime.getRuntime().availableProcessors());

    @Option(
            names = "--requirepass",
            paramLabel = "PASSWORD",
            description = "Password that AUTH must give (default: none).")
    private @Nullable String password;

    @Option(
            names = "--max-clients",
            paramLabel = "N",
            description = "Connections at a time (default: ${DEFAULT-VALUE}).")
    private int maxClients = 1000;

    @Option(
            names = "--max-request",
            paramLabel = "SIZE",
            converter = ByteSize.class,
            description = "A request, all arguments together, at most 512m (default: 64m).")
    private long maxRequestBytes = 64 * MIB;

    @Option(
            names = "--max-bulk",
            paramLabel = "SIZE",
            converter = ByteSize.class,
            description = "An argument, and so a value (default: 16m).")
    private long maxBulkBytes = 16 * MIB;

    @Option(names = "--max-key", paramLabel = "SIZE", converter = ByteSize.class, description = "A key (default: 64k).")
    private long maxKeyBytes = 65_536;

    @Option(
            names = "--max-args",
            paramLabel = "N",
            description = "Arguments of a request (default: ${DEFAULT-VALUE}).")
    private int maxArguments = 1 << 20;

    /** @throws IllegalArgumentException if an option is out of range; names it and the range */
    ServerConfig config() {
        require(port >= 0 && port <= 65_535, "--port", port, "from 0 to 65535");
        require(threads >= 1 && threads <= 1024, "--threads", threads, "from 1 to 1024");
        require(maxClients >= 1, "--max-clients", maxClients, "1 or more");
        require(maxArguments >= 16, "--max-args", maxArguments, "16 or more");
        require(maxRequestBytes <= MAX_REQUEST_BYTES, "--max-request", maxRequestBytes, "at most 512m");
        require(
                maxBulkBytes <= maxRequestBytes,
                "--max-bulk", maxBulkBytes, "at most --max-request, " + maxRequestBytes);
        require(
                maxKeyBytes >= 1 && maxKeyBytes <= maxBulkBytes,
                "--max-key", maxKeyBytes, "from 1 to --max-bulk, " + maxBulkBytes);
        require(
                mvstoreCacheBytes % MIB == 0 && mvstoreCacheBytes <= 1024 * MIB,
                "--mvstore-cache", mvstoreCacheBytes, "whole MiB, from 0 to 1g");
        // MVStore itself takes no page above this, so that its cache, if there is one, can hold some
        long maxPageBytes = mvstoreCacheBytes == 0 ? MIB : mvstoreCacheBytes / 256;
        require(
                mvstorePageBytes >= 1024 && mvstorePageBytes <= maxPageBytes,
                "--mvstore-page",
                mvstorePageBytes,
                "from 1k to a 256th of --mvstore-cache (1m where that is 0), " + maxPageBytes);
        Limits limits = new Limits(
                maxClients, (int) maxRequestBytes, (int) maxBulkBytes, (int) maxKeyBytes, maxArguments);
        return new ServerConfig(
                bind, port, path().toString(), durability, threads, (int) (mvstoreCacheBytes / MIB),
                (int) mvstorePageBytes, password, limits);
    }

    /**
     * Opens what lies under the data file.
     *
     * @throws IOException if the directory cannot be made or the cache not be had
     * @throws IllegalArgumentException if an option of the cache is out of range
     */
    DataFile openFile() throws IOException {
        Path path = path();
        Path parent = path.getParent();
        if (parent != null) {
            try {
                Files.createDirectories(parent);
            } catch (IOException e) {
                throw new IOException(
                        "cannot make the directory " + parent + " (" + e + "): choose another --dir or --file", e);
            }
        }
        return switch (storage) {
            case PLAIN -> DataFile.plain(path.toString());
            case WARM -> WarmDataFile.open(
                    path.toString(),
                    CacheConfig.of(cacheName, cacheBytes)
                            .withPageSize((int) Math.min(cachePageBytes, Integer.MAX_VALUE))
                            .withBackend(backend)
                            .withOptions(backendOptions),
                    MapOptions.DEFAULT.withIoMode(ioMode));
        };
    }

    private Path path() {
        return (file == null ? dir.resolve("kv.mvstore") : file).toAbsolutePath().normalize();
    }

    private static void require(boolean holds, String option, long value, String range) {
        if (!holds) {
            throw new IllegalArgumentException(option + " is " + value + ": it must be " + range);
        }
    }

    /** The version of the build, which is in the jar's manifest. */
    static final class Version implements CommandLine.IVersionProvider {
        @Override
        public String[] getVersion() {
            String version = ServerOptions.class.getPackage().getImplementationVersion();
            return new String[] {"kv-server " + (version == null ? "(not run from its jar)" : version)};
        }
    }
}
