/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * Every class of the running JDK's image: real data that each machine with a JDK has.
 *
 * @param names such as {@code java.base/java/lang/String.class}, ascending
 * @param bytes the class file of each name
 */
@SuppressWarnings("ArrayRecordComponent") // a holder, never compared
record ClassImage(String[] names, byte[][] bytes) {
    static ClassImage load() throws IOException {
        Path modules = FileSystems.getFileSystem(URI.create("jrt:/")).getPath("/modules");
        List<Path> files;
        try (Stream<Path> all = Files.walk(modules)) {
            files = all.filter(each -> each.toString().endsWith(".class"))
                    .sorted((a, b) -> a.toString().compareTo(b.toString()))
                    .toList();
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
        String[] names = new String[files.size()];
        byte[][] bytes = new byte[files.size()][];
        for (int i = 0; i < names.length; i++) {
            names[i] = modules.relativize(files.get(i)).toString();
            bytes[i] = Files.readAllBytes(files.get(i));
        }
        return new ClassImage(names, bytes);
    }
}
