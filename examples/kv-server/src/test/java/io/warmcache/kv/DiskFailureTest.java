/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DiskFailureTest {
    @TempDir
    Path directory;

    @AfterEach
    void mendTheDisk() {
        FailingFile.WRITES_FAIL.set(false);
        FailingFile.FORCES_FAIL.set(false);
    }

    @Test
    void aWriteThatCannotBeWrittenIsNeverAcknowledged() throws Exception {
        neverAcknowledged(FailingFile.WRITES_FAIL);
    }

    @Test
    void aWriteThatCannotBeForcedIsNeverAcknowledgedThoughALaterForceSucceeds() throws Exception {
        neverAcknowledged(FailingFile.FORCES_FAIL);
    }

    private void neverAcknowledged(AtomicBoolean failure) throws Exception {
        String name = FailingFile.name(directory.resolve("test.mvstore").toString());
        TestServer server = new TestServer.Settings(directory)
                .durability(Durability.ALWAYS)
                .fileName(name)
                .start();
        try (RawClient writer = server.raw();
                RawClient reader = server.raw()) {
            assertEquals("+OK", writer.call("SET", "k", "before"));
            failure.set(true);
            writer.send(RawClient.frame("SET", "k", "after"));
            Await.until("the failure is noticed", () -> server.storageFailure.get() != null);
            failure.set(false);
            writer.send(RawClient.frame("SET", "l", "later"));
            // nothing that was not safe may be shown either
            reader.send(RawClient.frame("GET", "k"));
            server.server.close();
            assertEquals("", writer.rest());
            String shown = reader.rest();
            assertEquals(false, shown.contains("after"), shown);
        } finally {
            server.server.close();
        }
        assertNotNull(server.storageFailure.get());
        try (TestServer again = new TestServer.Settings(directory)
                        .fileName(FailingFile.name(directory.resolve("test.mvstore").toString()))
                        .start();
                RawClient reader = again.raw()) {
            String value = reader.call("GET", "k");
            // not acknowledged, so either is right; what was acknowledged before is not lost
            assertEquals(true, value.equals("\"before\"") || value.equals("\"after\""), value);
        }
    }
}
