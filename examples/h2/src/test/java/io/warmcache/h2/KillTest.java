/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.RecoveryReport;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.h2.mvstore.MVStoreException;
import org.h2.store.fs.FileUtils;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * A workload of N writes, stopped at write 0, 1, 2 ... N: afterwards memory gives back the file byte by byte, and the
 * engine finds the last version that was committed.
 */
@Timeout(600)
final class KillTest {
    private static final long CAPACITY = 1 << 20;
    private static final List<StoppingFilePath.Moment> MOMENTS = List.of(
            StoppingFilePath.Moment.BEFORE, StoppingFilePath.Moment.WITHIN, StoppingFilePath.Moment.AFTER);

    @TempDir
    Path dir;

    private CacheConfig config;
    private Path file;

    @BeforeEach
    void name() {
        config = Warm.config(CAPACITY);
        file = dir.resolve("store");
    }

    @AfterEach
    void drop() throws IOException {
        PageCache.drop(config);
    }

    @Test
    void aKilledProcessLeavesWhatItHadCommitted() throws Exception {
        int calls = runInChild(0, StoppingFilePath.Moment.BEFORE).calls();
        assertTrue(calls > 20, "the workload makes " + calls + " writes");
        assertEquals(StoreWorkload.VERSIONS, reattachAndCompare(StoreWorkload.VERSIONS, "not killed").version());
        int found = 0;
        int kept = 0;
        for (int call = 1; call <= calls; call++) {
            StoppingFilePath.Moment moment = MOMENTS.get((call - 1) % MOMENTS.size());
            String context = "killed " + moment + " call " + call + " of " + calls;
            Files.deleteIfExists(file);
            Reattached reattached = reattachAndCompare(runInChild(call, moment).committed(), context);
            found += reattached.gate().found();
            kept += reattached.gate().kept();
        }
        System.out.println(calls + " writes, each a kill: " + found + " frames found, " + kept + " kept");
        assertTrue(kept > found / 2, "memory was warm: " + kept + " of " + found + " frames kept");
    }

    private record Reattached(int version, RecoveryReport.FileRecovery gate) {}

    private record Run(int committed, int calls) {}

    private Run runInChild(int stopAt, StoppingFilePath.Moment moment) throws IOException, InterruptedException {
        int committed = 0;
        int calls = 0;
        try (ChildJvm child = ChildJvm.start(StoreWorkload.Main.class, config.name(),
                Long.toString(config.capacity()), file.toString(), Integer.toString(stopAt), moment.name())) {
            for (String line = child.line(); line != null; line = child.line()) {
                if (line.startsWith("calls ")) {
                    calls = Integer.parseInt(line.substring(6));
                } else {
                    committed = Integer.parseInt(line);
                }
            }
            assertEquals(stopAt == 0 ? 0 : StoppingFilePath.EXIT_CODE, child.waitFor());
        }
        return new Run(committed, calls);
    }

    private Reattached reattachAndCompare(int committed, String context) throws IOException {
        byte[] stored = Files.exists(file) ? Files.readAllBytes(file) : new byte[0];
        int version;
        RecoveryReport.FileRecovery gate;
        try (PageCache cache = PageCache.open(config);
                WarmFileSystem system = WarmFileSystem.install(cache)) {
            requireSameBytes(stored, context);
            gate = system.cache().recovery().files().getFirst();
            version = StoreWorkload.requireVersion(Warm.path(file), committed, committed + 1, context);
            requireSameBytes(Files.readAllBytes(file), context + ", after recovery");
        }
        // A copy, as plain H2 2.4.240 itself can lose versions when it opens a store a second time after a kill within
        // compactFile.
        Path copy = Files.write(dir.resolve("copy"), stored);
        assertEquals(version, StoreWorkload.requireVersion(
                copy.toString(), committed, committed + 1, context + ", plain"), context);
        return new Reattached(version, gate);
    }

    private void requireSameBytes(byte[] stored, String context) throws IOException {
        try (FileChannel channel = FileUtils.open(Warm.path(file), "rw")) {
            assertArrayEquals(stored, WarmChannelModelTest.readAll(channel), context);
        }
    }

    @Test
    void aFailedWriteLeavesWhatWasCommittedBeforeIt() throws IOException {
        try (Warm warm = Warm.of(config, MapOptions.DEFAULT)) {
            StoppingFilePath.arm(0, StoppingFilePath.Moment.BEFORE, false);
            StoreWorkload.run("stop:" + Warm.path(file), version -> {});
            int calls = StoppingFilePath.calls();
            for (int call = 1; call <= calls; call++) {
                for (StoppingFilePath.Moment moment : MOMENTS) {
                    if (call == 1 && moment == StoppingFilePath.Moment.WITHIN) {
                        // H2 itself cannot open a store whose very first header is torn.
                        continue;
                    }
                    String context = "failed " + moment + " call " + call + " of " + calls;
                    Files.deleteIfExists(file);
                    AtomicInteger committed = new AtomicInteger();
                    StoppingFilePath.arm(call, moment, false);
                    assertThrows(MVStoreException.class,
                            () -> StoreWorkload.run("stop:" + Warm.path(file), committed::set), context);
                    requireSameBytes(Files.readAllBytes(file), context);
                    StoreWorkload.requireVersion(
                            Warm.path(file), committed.get(), committed.get() + 1, context);
                }
            }
            System.out.println(calls + " writes, failed in three ways each");
        }
    }

    /** Writes, appends, cuts and forces one file from three threads, for ever, and says so now and then. */
    static final class Scribbler {
        private Scribbler() {}

        public static void main(String[] args) throws Exception {
            CacheConfig config = CacheConfig.of(args[0], Long.parseLong(args[1]));
            WarmFileSystem.open(config, MapOptions.DEFAULT);
            FileChannel channel = FileUtils.open(args[2], "rw");
            for (int t = 0; t < 3; t++) {
                Random random = new Random(Long.parseLong(args[3]) + t);
                Thread.ofPlatform().start(() -> {
                    try {
                        for (int i = 1; ; i++) {
                            scribble(channel, random);
                            if (i % 20 == 0) {
                                System.out.println(i);
                            }
                        }
                    } catch (Throwable e) {
                        // also an error: with two threads left the parent would wait for lines as if nothing were wrong
                        System.out.println(e);
                        Runtime.getRuntime().halt(1);
                    }
                });
            }
        }

        private static void scribble(FileChannel channel, Random random) throws IOException {
            long size = channel.size();
            byte[] bytes = new byte[1 + random.nextInt(random.nextBoolean() ? 500 : 20_000)];
            random.nextBytes(bytes);
            int kind = random.nextInt(100);
            if (kind < 2) {
                channel.truncate(random.nextLong(size + 1));
            } else if (kind < 4) {
                channel.force(false);
            } else if (kind < 40) {
                channel.read(ByteBuffer.wrap(bytes), random.nextLong(size + 1));
            } else {
                channel.write(ByteBuffer.wrap(bytes), random.nextLong(Math.min(size + 5_000, 2 * CAPACITY)));
            }
        }
    }

    @Test
    void aKillAmidManyWritesLeavesMemoryAndFileTheSame() throws Exception {
        long seed = System.nanoTime();
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        int found = 0;
        int kept = 0;
        for (int round = 0; round < 12; round++) {
            try (ChildJvm child = ChildJvm.start(Scribbler.class, config.name(), Long.toString(CAPACITY),
                    Warm.path(file), Long.toString(random.nextLong()))) {
                for (int lines = 1 + random.nextInt(60); lines > 0; lines--) {
                    Integer.parseInt(child.line());
                }
                child.kill();
            }
            byte[] stored = Files.readAllBytes(file);
            try (PageCache cache = PageCache.open(config);
                    WarmFileSystem system = WarmFileSystem.install(cache)) {
                requireSameBytes(stored, "seed " + seed + ", round " + round);
                RecoveryReport.FileRecovery gate = system.cache().recovery().files().getFirst();
                found += gate.found();
                kept += gate.kept();
            }
        }
        System.out.println("kills amid writes: " + found + " frames found, " + kept + " kept");
        assertTrue(kept > found / 2, "memory was warm: " + kept + " of " + found + " frames kept");
    }

    /** Inserts rows, each in a transaction of its own that is written when it is acknowledged. */
    static final class Inserts {
        private Inserts() {}

        public static void main(String[] args) throws Exception {
            CacheConfig config = CacheConfig.of(args[0], Long.parseLong(args[1]));
            WarmFileSystem.open(config, MapOptions.DEFAULT);
            try (Connection connection = DriverManager.getConnection(args[2])) {
                connection.createStatement().execute("create table if not exists t(id int primary key, half int,"
                        + " text varchar); create index if not exists i on t(half)");
                PreparedStatement insert = connection.prepareStatement("insert into t values (?, ?, ?)");
                for (int id = count(connection); ; id++) {
                    insert.setInt(1, id);
                    insert.setInt(2, id / 2);
                    insert.setString(3, text(id));
                    insert.executeUpdate();
                    System.out.println(id + 1);
                }
            }
        }
    }

    private static String text(int id) {
        return Integer.toHexString(id).repeat(1 + id % 200);
    }

    private static int count(Connection connection) throws SQLException {
        try (ResultSet rows = connection.createStatement().executeQuery("select count(*) from t")) {
            rows.next();
            return rows.getInt(1);
        }
    }

    @Test
    void aDatabaseKilledAtRandomMomentsLosesNoAcknowledgedRow() throws Exception {
        long seed = System.nanoTime();
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        Path database = dir.resolve("db");
        String url = "jdbc:h2:" + Warm.path(database) + ";WRITE_DELAY=0";
        int acknowledged = 0;
        for (int round = 0; round < 6; round++) {
            try (ChildJvm child = ChildJvm.start(
                    Inserts.class, config.name(), Long.toString(config.capacity()), url)) {
                int target = acknowledged + 1 + random.nextInt(400);
                while (acknowledged < target) {
                    acknowledged = Integer.parseInt(child.line());
                }
                child.kill();
                for (String line = child.line(); line != null; line = child.line()) {
                    // The last line may be a part of one.
                    acknowledged = line.isEmpty() ? acknowledged : Math.max(acknowledged, Integer.parseInt(line));
                }
            }
            Path data = Path.of(database + ".mv.db");
            byte[] stored = Files.readAllBytes(data);
            Files.write(dir.resolve("copy.mv.db"), stored);
            String context = "seed " + seed + ", round " + round;
            List<String> script;
            try (PageCache cache = PageCache.open(config);
                    WarmFileSystem system = WarmFileSystem.install(cache)) {
                try (FileChannel channel = FileUtils.open(Warm.path(data), "rw")) {
                    assertArrayEquals(stored, WarmChannelModelTest.readAll(channel), context);
                }
                try (Connection connection = DriverManager.getConnection(url)) {
                    int rows = count(connection);
                    assertTrue(rows == acknowledged || rows == acknowledged + 1,
                            context + ": " + rows + " rows, " + acknowledged + " acknowledged");
                    acknowledged = rows;
                    try (ResultSet all = connection.createStatement()
                            .executeQuery("select id, half, text from t order by half, id")) {
                        for (int id = 0; id < rows; id++) {
                            assertTrue(all.next());
                            assertEquals(id, all.getInt(1), context);
                            assertEquals(id / 2, all.getInt(2), context);
                            assertEquals(text(id), all.getString(3), context);
                        }
                    }
                    script = script(connection);
                }
                System.out.println(context + ": " + acknowledged + " rows, "
                        + system.cache().recovery().files().getFirst());
            }
            try (Connection connection = DriverManager.getConnection("jdbc:h2:" + dir.resolve("copy"))) {
                assertEquals(script, script(connection), context);
            }
        }
    }

    static List<String> script(Connection connection) throws SQLException {
        List<String> lines = new ArrayList<>();
        try (ResultSet rows = connection.createStatement().executeQuery("script")) {
            while (rows.next()) {
                lines.add(rows.getString(1));
            }
        }
        return lines;
    }
}
