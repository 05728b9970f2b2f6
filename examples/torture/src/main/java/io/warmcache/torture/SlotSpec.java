/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import io.warmcache.IoMode;
import io.warmcache.WritePolicy;
import java.util.List;

/**
 * One of the files that a victim uses, and how.
 *
 * @param name of the file
 * @param policy when changes reach the store
 * @param mode how the file is read and written
 * @param custom whether the cache sees a {@link TortureStore} and no plain file
 * @param linked whether it has a second name, a hard link, that is used as well
 * @param small whether it is on a file system of its own that can be filled
 */
record SlotSpec(String name, WritePolicy policy, IoMode mode, boolean custom, boolean linked, boolean small) {
    /** The files of a victim. */
    static final List<SlotSpec> ALL = List.of(
            new SlotSpec("through", WritePolicy.WRITE_THROUGH, IoMode.AUTO, false, false, false),
            new SlotSpec("back", WritePolicy.WRITE_BACK, IoMode.AUTO, false, false, false),
            new SlotSpec("through-buffered", WritePolicy.WRITE_THROUGH, IoMode.BUFFERED, false, false, false),
            new SlotSpec("back-buffered", WritePolicy.WRITE_BACK, IoMode.BUFFERED, false, false, false),
            new SlotSpec("linked", WritePolicy.WRITE_THROUGH, IoMode.AUTO, false, true, false),
            new SlotSpec("own-through", WritePolicy.WRITE_THROUGH, IoMode.AUTO, true, false, false),
            new SlotSpec("own-back", WritePolicy.WRITE_BACK, IoMode.AUTO, true, false, false),
            new SlotSpec("small-back", WritePolicy.WRITE_BACK, IoMode.AUTO, false, true, true));
}
