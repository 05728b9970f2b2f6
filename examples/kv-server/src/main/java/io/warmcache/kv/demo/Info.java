/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;

/** A parsed answer to {@code INFO warmcache}. */
record Info(Map<String, String> fields) {
    private static final String DROPPED = "recovery_dropped_";

    static Info parse(String text) {
        Map<String, String> fields = new LinkedHashMap<>();
        text.lines().forEach(line -> {
            int colon = line.indexOf(':');
            if (colon > 0 && !line.startsWith("#")) {
                fields.put(line.substring(0, colon), line.substring(colon + 1));
            }
        });
        return new Info(fields);
    }

    long number(String name) {
        try {
            return Long.parseLong(text(name));
        } catch (NumberFormatException e) {
            return 0;
        }
    }

    String text(String name) {
        return fields.getOrDefault(name, "");
    }

    long hits() {
        return number("hits");
    }

    long misses() {
        return number("misses");
    }

    /** Frames not kept, by reason; reasons that did not occur are absent. */
    Map<String, Long> dropped() {
        Map<String, Long> dropped = new TreeMap<>();
        for (String name : fields.keySet()) {
            if (name.startsWith(DROPPED) && number(name) > 0) {
                dropped.put(name.substring(DROPPED.length()), number(name));
            }
        }
        return dropped;
    }
}
