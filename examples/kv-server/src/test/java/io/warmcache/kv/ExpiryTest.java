/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.params.SetParams;

class ExpiryTest {
    @TempDir
    Path directory;

    @Test
    void deadKeysAreSweptThoughNobodyAsksForThem() throws Exception {
        try (TestServer server = TestServer.start(directory);
                Jedis jedis = server.jedis()) {
            for (int i = 0; i < 1000; i++) {
                jedis.set("dying" + i, "v", SetParams.setParams().px(1 + i % 50));
                jedis.set("living" + i, "v", i % 2 == 0 ? SetParams.setParams() : SetParams.setParams().ex(1000));
            }
            Await.until("the dead are gone", () -> jedis.dbSize() == 1000);
            assertEquals("keys=1000,expires=500,avg_ttl=0", server.info("db0"));
            assertEquals("1000", server.info("expired_keys"));
        }
    }

    @Test
    void whatDiesWhileTheServerIsDownIsDeadAndSweptAfterwards() throws Exception {
        long last;
        try (TestServer server = TestServer.start(directory);
                Jedis jedis = server.jedis()) {
            for (int i = 0; i < 500; i++) {
                jedis.set("k" + i, "v", SetParams.setParams().px(2000));
            }
            jedis.set("stays", "v", SetParams.setParams().ex(1000));
            last = System.currentTimeMillis() + 2000;
        }
        Await.until("all have expired", () -> System.currentTimeMillis() > last);
        try (TestServer server = TestServer.start(directory);
                Jedis jedis = server.jedis()) {
            assertFalse(jedis.exists("k0"));
            assertTrue(jedis.ttl("stays") > 900);
            Await.until("the dead are gone", () -> jedis.dbSize() == 1);
            assertEquals("keys=1,expires=1,avg_ttl=0", server.info("db0"));
        }
    }

    @Test
    void theIndexOfExpiriesFollowsEveryChange() throws Exception {
        long seed = System.nanoTime();
        System.out.println("ExpiryTest seed " + seed);
        Random random = new Random(seed);
        try (TestServer server = TestServer.start(directory);
                Jedis jedis = server.jedis()) {
            for (int i = 0; i < 3000; i++) {
                String key = "k" + random.nextInt(60);
                switch (random.nextInt(9)) {
                    case 0 -> jedis.set(key, "1");
                    case 1 -> jedis.set(key, "1", SetParams.setParams().ex(1000 + random.nextInt(5)));
                    case 2 -> jedis.set(key, "1", SetParams.setParams().keepTtl());
                    case 3 -> jedis.expire(key, 1000 + random.nextInt(5));
                    case 4 -> jedis.persist(key);
                    case 5 -> jedis.del(key);
                    case 6 -> jedis.append(key, "1");
                    case 7 -> jedis.mset(key, "1", "k" + random.nextInt(60), "1");
                    default -> jedis.expire(key, -1);
                }
            }
            long expiring = 0;
            for (int i = 0; i < 60; i++) {
                if (jedis.ttl("k" + i) >= 0) {
                    expiring++;
                }
            }
            assertEquals(expiring, server.server.storage().keyspace(0).expiring());
            jedis.flushDB();
            assertEquals(0, server.server.storage().keyspace(0).expiring());
        }
    }
}
