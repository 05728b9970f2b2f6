/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import io.warmcache.CacheConfig;
import io.warmcache.Validation;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What a victim is told: {@code key=value} arguments. */
final class LifePlan {
    private final Map<String, String> values = new TreeMap<>();

    LifePlan() {}

    /** Reads what {@link #arguments} wrote. */
    LifePlan(String[] arguments) {
        for (String argument : arguments) {
            int equals = argument.indexOf('=');
            values.put(argument.substring(0, equals), argument.substring(equals + 1));
        }
    }

    LifePlan with(String key, Object value) {
        values.put(key, value.toString());
        return this;
    }

    String text(String key) {
        return values.getOrDefault(key, "");
    }

    long number(String key) {
        return values.containsKey(key) ? Long.parseLong(text(key)) : 0;
    }

    boolean is(String key) {
        return Boolean.parseBoolean(text(key));
    }

    Path directory() {
        return Path.of(text("directory"));
    }

    int pageSize() {
        return (int) number("pageSize");
    }

    List<String> arguments() {
        return values.entrySet().stream().map(each -> each.getKey() + "=" + each.getValue()).toList();
    }

    CacheConfig config() {
        Map<String, String> options = new HashMap<>(Map.of(
                SteppedProvider.OPTION_INNER, text("backend"),
                SteppedProvider.OPTION_DIE, text("dieAtVerb"),
                "shm.cgroupCheck", "off"));
        if (!is("managed")) {
            // a third of the time that a victim takes to open its cache
            options.put("core.mxbean", "off");
        }
        if (text("backend").equals("xen")) {
            options.put("xen.socket", text("socket"));
        }
        return CacheConfig.of(text("cache"), number("capacity"))
                .withMaxCapacity(number("maxCapacity"))
                .withPageSize(pageSize())
                .withBackend(text("dieAtVerb").isEmpty() ? text("backend") : SteppedProvider.NAME)
                .withChecksum(text("checksum"))
                .withValidation(Validation.valueOf(text("validation")))
                .withOwnerWait(Duration.ofSeconds(60))
                .withLatchTimeout(Duration.ofSeconds(60))
                .withMaxUnfinishedAttaches(0)
                .withOptions(options);
    }

    @Override
    public String toString() {
        return String.join(" ", arguments());
    }
}
