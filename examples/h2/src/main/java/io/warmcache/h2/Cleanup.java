/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/**
 * Runs every step of a clean-up though earlier ones fail, and throws the first failure with the others suppressed in
 * it.
 */
final class Cleanup {
    private @Nullable Throwable first;

    void run(Step step) {
        try {
            step.run();
        } catch (IOException | RuntimeException e) {
            if (first == null) {
                first = e;
            } else {
                first.addSuppressed(e);
            }
        }
    }

    void throwFirst() throws IOException {
        if (first instanceof IOException e) {
            throw e;
        }
        if (first instanceof RuntimeException e) {
            throw e;
        }
    }

    /** One step. */
    interface Step {
        void run() throws IOException;
    }
}
