/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** What a campaign has come to, over all its runs: {@code campaign.json}. Guarded by its monitor. */
@JsonAutoDetect(fieldVisibility = JsonAutoDetect.Visibility.ANY)
final class Tally {
    private static final JsonMapper JSON = JsonMapper.builder()
            .enable(SerializationFeature.INDENT_OUTPUT)
            .enable(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS)
            .build();

    /** One back end's, or all together. */
    @JsonAutoDetect(fieldVisibility = JsonAutoDetect.Visibility.ANY)
    static final class Sums {
        long lives;
        long kills;
        long restarts;
        long warmRestarts;
        long residentPagesCompared;
        long residentBytesCompared;
        long storeBytesCompared;
        long operations;
        long ownerWaits;
        long wrong;
        long hangs;
        long failedRestarts;
        long leakedFrames;
        long leakedPins;
        long leakedSegments;
        long leakedFiles;
        long killsByOwnSwitch;
        Map<String, Long> killsByKind = new TreeMap<>();
        Map<String, Long> coldReasons = new TreeMap<>();
        Map<String, Long> droppedFrames = new TreeMap<>();
        Map<String, Long> gateVerdicts = new TreeMap<>();
        Map<String, Long> skipped = new TreeMap<>();

        long bad() {
            return wrong + hangs + failedRestarts + leakedFrames + leakedPins + leakedSegments + leakedFiles;
        }
    }

    Map<String, Sums> backends = new TreeMap<>();
    Map<String, Double> wrongRateUpper95 = new TreeMap<>();
    List<String> failures = new ArrayList<>();
    List<Long> seeds = new ArrayList<>();
    double seconds;

    static Tally load(Path file) throws IOException {
        return Files.exists(file) ? JSON.readValue(Files.readAllBytes(file), Tally.class) : new Tally();
    }

    synchronized void save(Path file) throws IOException {
        wrongRateUpper95.clear();
        backends.forEach((backend, sums) -> {
            wrongRateUpper95.put(backend + " per kill", Bounds.upper95(sums.wrong, sums.kills));
            wrongRateUpper95.put(
                    backend + " per resident page", Bounds.upper95(sums.wrong, sums.residentPagesCompared));
        });
        Path fresh = file.resolveSibling(file.getFileName() + ".tmp");
        Files.write(fresh, JSON.writeValueAsBytes(this));
        Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    synchronized Sums of(String backend) {
        return backends.computeIfAbsent(backend, _ -> new Sums());
    }

    static void count(Map<String, Long> counts, String key) {
        counts.merge(key, 1L, Long::sum);
    }
}
