/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.image;

import java.io.IOException;

/** An image or a hot list, or a part of one, that cannot be trusted; the message says why in a few words. */
public final class DamagedImageException extends IOException {
    private static final long serialVersionUID = 1L;

    DamagedImageException(String message) {
        super(message);
    }
}
