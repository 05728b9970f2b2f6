/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.random.RandomGenerator;

/** Hot lists: changed blindly, or with a check that matches again. */
final class HotListTarget extends WarmUpTarget {
    private static final long MAGIC = 0x3154_4f48_434d_5257L;

    private final byte[] list;
    private final Path file;

    HotListTarget(Path out) throws IOException, InterruptedException {
        super(out, true);
        list = make(".wchot");
        try (var all = Files.list(directory())) {
            file = all.filter(each -> each.toString().endsWith(".wchot")).findFirst().orElseThrow();
        }
    }

    @Override
    void put(RandomGenerator random) throws IOException {
        byte[] bytes = list.clone();
        if (random.nextInt(4) == 0) {
            bytes = Mutation.resized(bytes, random);
        }
        int changes = random.nextInt(5);
        for (int i = 0; i < changes && bytes.length > 0; i++) {
            Mutation.any(bytes, 0, bytes.length, random);
        }
        if (random.nextInt(4) > 0 && bytes.length >= 24) {
            if (random.nextInt(4) > 0) {
                over(bytes).putLong(0, MAGIC).putInt(8, 1);
            }
            over(bytes).putLong(bytes.length - 8, check(bytes, 0, bytes.length - 8, MAGIC));
        }
        Files.write(file, bytes);
    }
}
