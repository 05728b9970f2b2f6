/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** A target as Jazzer calls it: what it finds ends the run. */
public final class Guided {
    private static @Nullable Target target;

    private Guided() {}

    /** Called once. */
    public static void fuzzerInitialize() throws Exception {
        Child.formatLogsForNobody();
        Target opened = Target.Kind.valueOf(System.getProperty("warmcache.fuzz.target"))
                .open(Path.of(System.getProperty("warmcache.fuzz.out")));
        target = opened;
    }

    /** Called for each input. */
    public static void fuzzerTestOneInput(byte[] input) throws Exception {
        Target opened = target;
        if (opened != null) {
            var _ = opened.run(new ByteSource(input));
        }
    }

    /** Called at the end. */
    public static void fuzzerTearDown() throws Exception {
        Target opened = target;
        if (opened != null) {
            opened.close();
        }
    }
}
