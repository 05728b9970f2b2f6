/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.RecoveryReport;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.StringReader;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.h2.tools.Restore;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** SQL databases on {@code warm:} beside the same ones on plain files. */
@Timeout(300)
final class SqlTest {
    private static final int ROWS = 100_000;

    @TempDir
    Path dir;

    private Warm warm;

    @BeforeEach
    void open() throws IOException {
        // Smaller than the database: pages are evicted and read again all the time.
        warm = Warm.of(4 << 20);
    }

    @AfterEach
    void close() throws IOException {
        warm.close();
    }

    private String url(String name) {
        return "jdbc:h2:" + Warm.path(dir.resolve(name));
    }

    private String plain(String name) {
        return "jdbc:h2:" + dir.resolve(name);
    }

    @Test
    void givesTheSameDatabaseAsAPlainFile() throws Exception {
        long seed = System.nanoTime();
        System.out.println("seed " + seed);
        List<String> expected;
        try (Connection connection = DriverManager.getConnection(plain("plain"))) {
            work(connection, seed);
            expected = KillTest.script(connection);
        }
        assertTrue(expected.size() > 1_000);
        try (Connection connection = DriverManager.getConnection(url("warm"))) {
            work(connection, seed);
            assertEquals(expected, KillTest.script(connection), "after the work");
            connection.createStatement().execute("backup to '" + dir.resolve("backup.zip") + "'");
        }
        warm.restart();
        try (Connection connection = DriverManager.getConnection(url("warm"))) {
            assertEquals(expected, KillTest.script(connection), "after a restart");
            long before = Files.size(dir.resolve("warm.mv.db"));
            connection.createStatement().execute("shutdown compact");
            assertTrue(Files.size(dir.resolve("warm.mv.db")) <= before);
        }
        try (Connection connection = DriverManager.getConnection(url("warm"))) {
            RecoveryReport.FileRecovery compacted = warm.cache().recovery().files().getLast();
            assertTrue(compacted.name().endsWith("warm.mv.db"), compacted.name());
            assertTrue(compacted.kept() > 0, "pages of the file that was renamed: " + compacted);
            assertEquals(expected, KillTest.script(connection), "after shutdown compact");
            connection.createStatement().execute("shutdown defrag");
        }
        try (Connection connection = DriverManager.getConnection(plain("warm"))) {
            assertEquals(expected, KillTest.script(connection), "read by plain H2");
        }
        try (Connection connection = DriverManager.getConnection(url("warm"))) {
            assertEquals(expected, KillTest.script(connection), "after plain H2 had it");
        }
        Restore.execute(dir.resolve("backup.zip").toString(), Warm.path(dir), "restored");
        try (Connection connection = DriverManager.getConnection(url("restored"))) {
            assertEquals(expected, KillTest.script(connection), "from the backup");
        }
    }

    private static void work(Connection connection, long seed) throws SQLException {
        Random random = new Random(seed);
        try (Statement statement = connection.createStatement()) {
            statement.execute("create table item(id int primary key, name varchar(60), price decimal(10, 2))");
            statement.execute("create index item_name on item(name)");
            statement.execute("create table document(id int primary key, text clob, bytes blob)");
        }
        connection.setAutoCommit(false);
        try (PreparedStatement insert = connection.prepareStatement("insert into item values (?, ?, ?)")) {
            for (int id = 0; id < ROWS; id++) {
                insert.setInt(1, id);
                insert.setString(2, "item " + random.nextInt(1_000) + " of many");
                insert.setBigDecimal(3, BigDecimal.valueOf(random.nextInt(1_000_000), 2));
                insert.addBatch();
                if (id % 1_000 == 999) {
                    insert.executeBatch();
                    connection.commit();
                }
            }
        }
        connection.setAutoCommit(true);
        try (PreparedStatement insert = connection.prepareStatement("insert into document values (?, ?, ?)")) {
            for (int id = 0; id < 60; id++) {
                byte[] bytes = new byte[random.nextInt(20_000) * (1 + id % 3)];
                random.nextBytes(bytes);
                insert.setInt(1, id);
                insert.setCharacterStream(2, new StringReader(("text " + id + " ").repeat(random.nextInt(4_000))));
                insert.setBinaryStream(3, new ByteArrayInputStream(bytes));
                insert.executeUpdate();
            }
        }
        connection.setAutoCommit(false);
        try (PreparedStatement update = connection.prepareStatement("update item set name = ? where id = ?");
                PreparedStatement delete = connection.prepareStatement("delete from item where id = ?")) {
            for (int i = 0; i < 10_000; i++) {
                update.setString(1, "changed " + i);
                update.setInt(2, random.nextInt(ROWS));
                update.executeUpdate();
                delete.setInt(1, random.nextInt(ROWS));
                delete.executeUpdate();
                if (i % 500 == 499) {
                    if (random.nextInt(4) == 0) {
                        connection.rollback();
                    } else {
                        connection.commit();
                    }
                }
            }
        }
        connection.commit();
        connection.setAutoCommit(true);
        try (Statement statement = connection.createStatement()) {
            statement.execute("delete from document where mod(id, 3) = 0");
            statement.execute("alter table item add column note varchar default 'none'");
            statement.execute("create table copy as select * from item where mod(id, 7) = 0 order by name");
            statement.execute("drop index item_name");
            statement.execute("create index item_price on item(price)");
        }
    }

    @Test
    void runsManyConnectionsAtOnce() throws Exception {
        try (Connection keeper = DriverManager.getConnection(url("db"));
                ExecutorService pool = Executors.newFixedThreadPool(4)) {
            keeper.createStatement().execute("create table account(id int primary key, amount int)");
            keeper.createStatement().execute("insert into account select x, 1000 from system_range(0, 99)");
            List<Future<Integer>> workers = new ArrayList<>();
            for (int t = 0; t < 4; t++) {
                int id = t;
                workers.add(pool.submit(() -> {
                    Random random = new Random(id);
                    int moved = 0;
                    try (Connection connection = DriverManager.getConnection(url("db") + ";LOCK_TIMEOUT=20000")) {
                        connection.setAutoCommit(false);
                        for (int i = 0; i < 400; i++) {
                            int from = random.nextInt(100);
                            int to = random.nextInt(100);
                            try (Statement statement = connection.createStatement()) {
                                statement.execute("update account set amount = amount - 1 where id = "
                                        + Math.min(from, to));
                                statement.execute("update account set amount = amount + 1 where id = "
                                        + Math.max(from, to));
                                connection.commit();
                                moved++;
                            } catch (SQLException e) {
                                connection.rollback();
                            }
                        }
                    }
                    return moved;
                }));
            }
            int moved = 0;
            for (Future<Integer> worker : workers) {
                moved += worker.get();
            }
            assertTrue(moved > 0);
            try (ResultSet sum = keeper.createStatement().executeQuery("select sum(amount) from account")) {
                assertTrue(sum.next());
                assertEquals(100_000, sum.getInt(1));
            }
        }
    }

    @Test
    void sortsAndGroupsThroughTemporaryFiles() throws Exception {
        try (Connection connection = DriverManager.getConnection(url("db") + ";MAX_MEMORY_ROWS=500")) {
            connection.createStatement().execute("create table t as select x id, mod(x * 7919, 10007) n,"
                    + " repeat('z', 200) pad from system_range(1, 20000)");
            try (ResultSet rows = connection.createStatement()
                    .executeQuery("select n, id, pad from t order by n, id")) {
                int last = -1;
                int count = 0;
                while (rows.next()) {
                    assertTrue(rows.getInt(1) >= last);
                    last = rows.getInt(1);
                    count++;
                }
                assertEquals(20_000, count);
            }
            try (ResultSet rows = connection.createStatement()
                    .executeQuery("select count(*) from (select distinct n, pad from t)")) {
                assertTrue(rows.next());
                assertEquals(10_007, rows.getInt(1));
            }
        }
        try (var left = Files.list(dir)) {
            assertEquals(List.of(dir.resolve("db.mv.db")), left.toList(), "temporary files are gone");
        }
    }

    @Test
    void encryptsAboveIt() throws Exception {
        String encrypted = url("db") + ";CIPHER=AES";
        try (Connection connection = DriverManager.getConnection(encrypted, "sa", "file user")) {
            connection.createStatement().execute("create table t as select x, repeat('plain', 50) y"
                    + " from system_range(1, 2000)");
        }
        assertFalse(new String(Files.readAllBytes(dir.resolve("db.mv.db")), StandardCharsets.ISO_8859_1)
                .contains("plainplain"));
        warm.restart();
        try (Connection connection = DriverManager.getConnection(encrypted, "sa", "file user");
                ResultSet rows = connection.createStatement().executeQuery("select count(*), sum(x) from t")) {
            assertTrue(rows.next());
            assertEquals(2_000, rows.getInt(1));
            assertEquals(2_001_000, rows.getInt(2));
        }
    }

    @Test
    void splitsIntoFilesOfItsOwn() throws Exception {
        String split = "jdbc:h2:split:18:" + Warm.path(dir.resolve("db"));
        for (int round = 0; round < 2; round++) {
            try (Connection connection = DriverManager.getConnection(split)) {
                connection.createStatement().execute("create table if not exists t(x int primary key, y varchar)");
                connection.createStatement().execute("merge into t select x, random_uuid() || repeat('y', x / 50)"
                        + " from system_range(1, 5000)");
                try (ResultSet rows = connection.createStatement().executeQuery("select count(*) from t")) {
                    assertTrue(rows.next());
                    assertEquals(5_000, rows.getInt(1));
                }
            }
            warm.restart();
        }
        assertTrue(Files.exists(dir.resolve("db.mv.db.1.part")));
    }

    @Test
    void opensADatabaseForReadingAlone() throws Exception {
        try (Connection connection = DriverManager.getConnection(url("db"))) {
            connection.createStatement().execute("create table t as select x from system_range(1, 10)");
        }
        try (Connection connection = DriverManager.getConnection(url("db") + ";ACCESS_MODE_DATA=r");
                ResultSet rows = connection.createStatement().executeQuery("select count(*) from t")) {
            assertTrue(rows.next());
            assertEquals(10, rows.getInt(1));
            assertTrue(connection.isReadOnly());
        }
    }
}
