/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import io.warmcache.CacheConfig;
import io.warmcache.PageCache;
import io.warmcache.shm.ShmInspector;
import io.warmcache.spi.FrameState;
import io.warmcache.xen.XenInspector;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Starts servers, always with the same JVM and the same settings, and sees to it that none of them, and none of their
 * memory, is left when the demo ends, however it ends.
 */
final class Servers implements AutoCloseable {
    /** A heap that MVStore's write buffers fit in; the frames of the cache are outside of it. */
    private static final String HEAP = "384m";

    private final Path dataFile;
    private final Path log;
    private final DemoOptions options;
    private final long cacheBytes;
    private final Set<ServerProcess> running = ConcurrentHashMap.newKeySet();
    private final Set<String> cacheNames = new LinkedHashSet<>();
    private @Nullable Path aotCache;
    private volatile boolean closed;
    private @Nullable XenDaemon xen;

    /**
     * @param cacheBytes size of each server's cache
     * @param dataFile MVStore's file
     * @param log takes what the servers print
     */
    Servers(DemoOptions options, long cacheBytes, Path dataFile, Path log) {
        this.options = options;
        this.dataFile = dataFile;
        this.log = log;
        this.cacheBytes = cacheBytes;
    }

    /** From now on servers start from this AOT cache. */
    void useAotCache(@Nullable Path file) {
        aotCache = file;
    }

    Path dataFile() {
        return dataFile;
    }

    /** The settings that all servers have in common, for the report. */
    List<String> jvmSettings() {
        List<String> settings = new ArrayList<>(List.of(
                "-Xms" + HEAP,
                "-Xmx" + HEAP,
                "-XX:-UsePerfData",
                "-Djdk.nio.maxCachedBufferSize=262144",
                "-XX:+ExitOnOutOfMemoryError",
                "--enable-native-access=ALL-UNNAMED",
                "--illegal-native-access=deny",
                "--sun-misc-unsafe-memory-access=deny"));
        if (aotCache != null) {
            settings.add("-XX:AOTCache=" + aotCache);
        }
        return settings;
    }

    /**
     * Starts a server on the data.
     *
     * @param cacheName the cache it finds or makes
     * @param io {@code direct} or {@code buffered}
     * @param extra options of the JVM, before all others
     */
    ServerProcess start(String cacheName, String io, DemoOptions.Durability durability, String... extra)
            throws IOException {
        synchronized (cacheNames) {
            cacheNames.add(cacheName);
        }
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of(extra));
        command.addAll(jvmSettings());
        command.addAll(List.of("-cp", join(classPath()), "io.warmcache.kv.KvServer"));
        command.addAll(List.of("--port", "0", "--file", dataFile.toString()));
        command.addAll(List.of("--cache-name", cacheName, "--cache-size", Long.toString(cacheBytes)));
        command.addAll(List.of("--page-size", Long.toString(options.pageSize), "--backend", options.backend));
        command.addAll(List.of("--io", io, "--mvstore-cache", Long.toString(options.mvstoreCache)));
        XenDaemon daemon = xen();
        if (daemon != null) {
            command.addAll(List.of("--backend-option", XenDaemon.OPTION + "=" + daemon.socket()));
        }
        command.addAll(List.of("--durability", durability.name().toLowerCase(Locale.ROOT)));
        ServerProcess server = new ServerProcess(command, log, daemon == null ? 0 : daemon.pid());
        running.add(server);
        if (closed) {
            // the demo was interrupted as this one started: the clean-up may have passed it by
            close();
            throw new IOException("the demo is ending, no server is started any more");
        }
        running.removeIf(each -> !each.alive());
        return server;
    }

    /** The process that has the memory and reads the disk, started when it is first needed; null if there is none. */
    private synchronized @Nullable XenDaemon xen() throws IOException {
        if (xen == null && options.backend.equals("xen")) {
            xen = XenDaemon.start(join(classPath()), cacheBytes, dataFile, log);
        }
        return xen;
    }

    private static String join(List<Path> paths) {
        return paths.stream().map(Path::toString).collect(Collectors.joining(File.pathSeparator));
    }

    /** The class path of this JVM: the jar of the server and what it needs. */
    static List<Path> classPath() {
        return Pattern.compile(File.pathSeparator, Pattern.LITERAL)
                .splitAsStream(System.getProperty("java.class.path"))
                .map(each -> Path.of(each).toAbsolutePath())
                .toList();
    }

    /** Frames by state in the memory of a cache that no process has open. */
    Map<FrameState, Integer> records(String cacheName) throws IOException {
        if (options.backend.equals("xen")) {
            return XenInspector.inspect(config(cacheName));
        }
        return ShmInspector.inspect(config(cacheName)).whole();
    }

    /** Wipes and removes the memory of a cache that no process has open. */
    void drop(String cacheName) throws IOException {
        PageCache.drop(config(cacheName));
        synchronized (cacheNames) {
            cacheNames.remove(cacheName);
        }
    }

    private CacheConfig config(String cacheName) throws IOException {
        XenDaemon daemon = xen();
        return CacheConfig.of(cacheName, cacheBytes)
                .withPageSize((int) options.pageSize)
                .withBackend(options.backend)
                .withOptions(daemon == null ? Map.of() : Map.of(XenDaemon.OPTION, daemon.socket().toString()));
    }

    /** Ends every server still running and drops every cache still there. */
    @Override
    public void close() {
        closed = true;
        for (ServerProcess each : running) {
            each.kill();
        }
        List<String> left;
        synchronized (cacheNames) {
            left = List.copyOf(cacheNames);
        }
        for (String name : left) {
            try {
                drop(name);
            } catch (IOException | RuntimeException e) {
                System.err.println("demo: the memory of cache " + name + " could not be dropped: " + e.getMessage());
            }
        }
        stopXen();
    }

    /** Ends the process that has the memory, if there is one. */
    private synchronized void stopXen() {
        XenDaemon daemon = xen;
        xen = null;
        if (daemon != null) {
            daemon.close();
        }
    }

    /** Bytes of MVStore's file. */
    long dataFileBytes() throws IOException {
        return Files.size(dataFile);
    }
}
