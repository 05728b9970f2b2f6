/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.HexFormat;
import java.util.concurrent.TimeUnit;

/**
 * Makes the AOT cache (JEP 483, 514, 515) that all servers start from: classes loaded and linked, and profiles, of a
 * training run. Kept between runs as long as the JVM, its settings and the class path are the same.
 */
final class AotCache {
    private static final Duration ASSEMBLY_PATIENCE = Duration.ofMinutes(2);

    private AotCache() {}

    /** The load of the training run, with what it needs. */
    interface Training {
        /** Starts a server with these options of the JVM, loads it, and stops it with SIGTERM. */
        void run(String jvmOption, Duration stopPatience) throws IOException, InterruptedException;
    }

    /**
     * Finds the cache of this class path, or trains one.
     *
     * @param directory where caches are kept
     * @param settings of the servers' JVM
     * @param backend whose classes the training run loads
     * @throws IOException if the training run fails or leaves no cache
     */
    static Path obtain(Path directory, String settings, String backend, Training training)
            throws IOException, InterruptedException {
        Files.createDirectories(directory);
        Path cache = directory.resolve("kv-server-" + fingerprint(settings, backend) + ".aot");
        if (Files.isRegularFile(cache)) {
            return cache;
        }
        Path fresh = directory.resolve(cache.getFileName() + "." + ProcessHandle.current().pid());
        try {
            training.run("-XX:AOTCacheOutput=" + fresh, ASSEMBLY_PATIENCE);
            if (!Files.isRegularFile(fresh)) {
                throw new IOException("the training run left no AOT cache at " + fresh);
            }
            Files.move(fresh, cache, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(fresh);
            Files.deleteIfExists(Path.of(fresh + ".config"));
        }
        return cache;
    }

    /** The JVM checks names, sizes and times of the jars itself, and would silently go without. */
    private static String fingerprint(String settings, String backend) throws IOException {
        StringBuilder all = new StringBuilder();
        all.append(Runtime.version()).append('\n').append(settings).append('\n').append(backend).append('\n');
        for (Path jar : Servers.classPath()) {
            all.append(jar).append(' ').append(Files.size(jar)).append(' ');
            all.append(Files.getLastModifiedTime(jar).to(TimeUnit.MICROSECONDS)).append('\n');
        }
        try {
            byte[] text = all.toString().getBytes(StandardCharsets.UTF_8);
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(text), 0, 8);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }
}
