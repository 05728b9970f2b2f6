/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import java.io.IOException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileLock;
import java.util.Set;

/**
 * A lock taken through a {@link WarmChannel}: a lock of the operating system on the file itself, given back with the
 * channel.
 */
final class WarmLock extends FileLock {
    private final FileLock held;
    private final WarmFile file;
    private final Set<WarmLock> siblings;

    WarmLock(WarmChannel channel, FileLock held, WarmFile file, Set<WarmLock> siblings) {
        super(channel, held.position(), held.size(), held.isShared());
        this.held = held;
        this.file = file;
        this.siblings = siblings;
        siblings.add(this);
    }

    @Override
    public boolean isValid() {
        return held.isValid() && acquiredBy().isOpen();
    }

    @Override
    public void release() throws IOException {
        if (!acquiredBy().isOpen()) {
            throw new ClosedChannelException();
        }
        giveBack();
    }

    void giveBack() throws IOException {
        if (siblings.remove(this)) {
            Cleanup cleanup = new Cleanup();
            cleanup.run(file::flush);
            cleanup.run(held::release);
            cleanup.throwFirst();
        }
    }
}
