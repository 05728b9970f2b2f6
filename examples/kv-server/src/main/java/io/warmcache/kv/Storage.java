/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import io.warmcache.h2.WarmFileSystem;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import org.h2.mvstore.MVMap;
import org.h2.mvstore.MVStore;
import org.h2.mvstore.MVStoreException;

/** The databases, in one MVStore file, and what makes their changes durable. */
final class Storage implements AutoCloseable {
    /** Databases that SELECT can choose from. */
    static final int DATABASES = 16;

    /**
     * Younger chunks are not emptied to reclaim their space: most of what they hold is about to be overwritten anyway.
     * What keeps chunks safe that are still needed is the {@link Committer}.
     */
    private static final int RETENTION_MILLIS = 1000;
    /** Enough that the size of a page, not its number of keys, splits it. */
    private static final int KEYS_PER_PAGE = 1024;

    private final MVStore store;
    private final WriteGate gate = new WriteGate();
    private final Committer committer;
    private final List<Keyspace> keyspaces = new ArrayList<>();

    /**
     * Opens the file, recovering it to its last complete commit.
     *
     * @param fileName as H2 takes it: a path, perhaps with the scheme of a file system before it
     * @param pageBytes MVStore splits its pages above this size
     * @param cacheMiB MVStore's own cache of decoded pages
     * @param onFailure told when a commit fails; the storage is unusable from then on
     * @throws IOException if the file is locked, damaged or unreadable; says which
     */
    Storage(String fileName, int pageBytes, int cacheMiB, Durability durability, Consumer<Throwable> onFailure)
            throws IOException {
        try {
            MVStore.Builder builder = new MVStore.Builder()
                    .fileName(fileName)
                    .autoCommitDisabled()
                    // with no buffer to fill, no writer ever finds that it has to commit
                    .autoCommitBufferSize(0)
                    .cacheSize(cacheMiB)
                    .pageSplitSize(pageBytes)
                    .keysPerPage(KEYS_PER_PAGE);
            // after a kill this looks at both ends of every chunk, thousands of pages that nobody wants again
            store = WarmFileSystem.readingOnce(builder::open);
        } catch (MVStoreException | IllegalArgumentException e) {
            throw new IOException(explain(fileName, e), e);
        }
        store.setRetentionTime(RETENTION_MILLIS);
        KeyType keyType = new KeyType(gate::endSnapshot);
        MVMap.Builder<byte[], Entry> entries =
                new MVMap.Builder<byte[], Entry>().keyType(keyType).valueType(new EntryType());
        MVMap.Builder<byte[], Boolean> expiries =
                new MVMap.Builder<byte[], Boolean>().keyType(keyType).valueType(new PresenceType());
        // all of them, used or not: pages of a map that is not open cannot be moved, and would pin their chunk
        for (int i = 0; i < DATABASES; i++) {
            keyspaces.add(new Keyspace(
                    i, store, store.openMap("entries." + i, entries), store.openMap("expiries." + i, expiries)));
        }
        store.commit();
        committer = new Committer(store, gate, durability, onFailure);
        committer.start();
    }

    private static String explain(String fileName, Exception e) {
        String message = String.valueOf(e.getMessage());
        if (message.contains("locked")) {
            return "the file " + fileName + " is in use by another process: stop that one, or choose another --file";
        }
        if (message.contains("Directory does not exist")) {
            return "the directory of " + fileName + " does not exist: create it, or choose another --dir";
        }
        return "cannot open " + fileName + ": " + message;
    }

    Keyspace keyspace(int number) {
        return keyspaces.get(number);
    }

    List<Keyspace> keyspaces() {
        return keyspaces;
    }

    WriteGate gate() {
        return gate;
    }

    Committer committer() {
        return committer;
    }

    /** What MVStore says of itself and of its file. */
    Map<String, String> describe() {
        Map<String, String> all = new LinkedHashMap<>();
        store.populateInfo((key, value) -> all.put(key, value));
        return all;
    }

    /** Commits, forces and closes; after a failure of the disk, just closes. */
    @Override
    public void close() {
        try {
            committer.stop();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (committer.failed()) {
            // a close that commits could make durable what was never acknowledged, or fail again
            store.closeImmediately();
            return;
        }
        // drops versions whose last reader left without dropping them: MVStore asserts that none is left
        store.deregisterVersionUsage(store.registerVersionUsage());
        store.close();
    }
}
