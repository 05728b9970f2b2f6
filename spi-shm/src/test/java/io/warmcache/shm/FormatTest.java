/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.spi.FileVerdict;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Segments of one format met by the code of another: warm, or cold and saying why; never half understood. */
class FormatTest {
    private static final Format NOW = Format.CURRENT;

    /** A library that is to come: it reads this one's segments, and has features that this one does not know. */
    private static final long NEW_COMPATIBLE = 1L << 40;

    private static final long NEW_INCOMPATIBLE = 1L << 41;
    private static final Format NEXT = new Format(
            NOW.version() + 1, NOW.oldest(), NOW.compatible() | NEW_COMPATIBLE, NEW_INCOMPATIBLE);

    private Env env;
    private Path file;
    private Map<Integer, Env.Found> found;

    @BeforeEach
    void open() throws Exception {
        env = new Env();
        file = env.file("data", Env.random(81, 12 * Env.PAGE));
    }

    @AfterEach
    void close() throws Exception {
        env.close();
    }

    private ShmBackend attach(Format format) throws IOException {
        ShmBackend b = ShmBackend.attach(
                Env.backendConfig(env.config()), MemoryBudget.ofThisProcess(), format, null);
        env.closeLater(b);
        return b;
    }

    /** A segment with twelve pages, left by the code of a format. */
    private void leftBy(Format format) throws IOException {
        ShmBackend b = attach(format);
        ShmFile f = Env.map(b, file, Env.BUFFERED);
        for (int i = 0; i < 12; i++) {
            f.fill(i, Env.ints(2 * i), 1, 12L * Env.PAGE, 0);
        }
        found = Env.survivors(b);
        assertEquals(12, found.size());
        b.policyWord(3, 333);
        f.close();
        b.close();
    }

    private ShmBackend warm(Format format) throws IOException {
        ShmBackend b = attach(format);
        assertTrue(b.attachReport().warm(), b.attachReport().coldReason());
        assertEquals(found, Env.survivors(b));
        ShmFile f = Env.open(b, b.openStore(file, Env.BUFFERED));
        assertEquals(FileVerdict.Kind.SAME, f.verdict().kind(), f.verdict().detail());
        f.force();
        f.accept();
        f.close();
        return b;
    }

    private void cold(Format format, String reason) throws IOException {
        ShmBackend b = attach(format);
        assertFalse(b.attachReport().warm());
        assertEquals(reason, b.attachReport().coldReason());
        assertTrue(Env.survivors(b).isEmpty());
        b.close();
    }

    /** The words of the first header copy. */
    private long word(int index) throws IOException {
        long[] word = new long[1];
        mapped(m -> word[0] = m.get(Layout.LONG, 8L * index));
        return word[0];
    }

    private void mapped(Consumer<MemorySegment> action) throws IOException {
        try (FileChannel channel =
                        FileChannel.open(env.segment(), StandardOpenOption.READ, StandardOpenOption.WRITE);
                Arena arena = Arena.ofConfined()) {
            action.accept(channel.map(FileChannel.MapMode.READ_WRITE, 0, 2 * Geometry.HEADER_SIZE, arena));
        }
    }

    @Test
    void theNextVersionOpensThisOnesSegmentWarmAndMakesItItsOwn() throws Exception {
        leftBy(NOW);
        assertEquals(NOW.version(), word(Header.W_VERSION));
        ShmBackend b = warm(NEXT);
        assertEquals(NEXT.version(), word(Header.W_VERSION));
        assertEquals(NEXT.compatible(), word(Header.W_COMPATIBLE));
        b.close();
        warm(NEXT).close();
    }

    @Test
    void aRollbackToThisVersionIsColdAndSaysWhy() throws Exception {
        leftBy(NEXT);
        cold(NOW, "the segment has format version " + NEXT.version() + ", this library reads " + NOW.range());
        // The segment is this version's from here on.
        leftBy(NOW);
        warm(NOW).close();
    }

    @Test
    void aVersionThatIsNoLongerReadIsColdAndSaysWhy() throws Exception {
        leftBy(NOW);
        Format far = new Format(NOW.version() + 5, NOW.version() + 3, 0, 0);
        cold(far, "the segment has format version " + NOW.version() + ", this library reads " + far.range());
        assertEquals(NOW.version() + 3 + " to " + (NOW.version() + 5), far.range());
    }

    @Test
    void anUnknownCompatibleFeatureIsWarmAndForgotten() throws Exception {
        Format more = new Format(NOW.version(), NOW.oldest(), NOW.compatible() | NEW_COMPATIBLE, 0);
        leftBy(more);
        assertEquals(more.compatible(), word(Header.W_COMPATIBLE));
        warm(NOW).close();
        assertEquals(NOW.compatible(), word(Header.W_COMPATIBLE), "nobody keeps it up any more");
        warm(more).close();
        assertEquals(more.compatible(), word(Header.W_COMPATIBLE));
    }

    @Test
    void aFeatureThatAnOlderOwnerDidNotKeepUpStartsAnew() throws Exception {
        leftBy(NOW);
        ShmBackend b = warm(NOW);
        assertEquals(333, b.policyWord(3));
        b.close();
        warm(new Format(NOW.version(), NOW.oldest(), 0, 0)).close();
        b = warm(NOW);
        assertEquals(0, b.policyWord(3), "left by an owner who knew nothing of it");
        b.close();
    }

    @Test
    void anUnknownIncompatibleFeatureIsColdAndSaysWhich() throws Exception {
        Format more = new Format(NOW.version(), NOW.oldest(), NOW.compatible(), NEW_INCOMPATIBLE);
        leftBy(more);
        mapped(m -> {
            Header h = Header.read(m, more).header();
            h.incompatible |= NEW_INCOMPATIBLE;
            h.write(m);
        });
        warm(more).close();
        assertEquals(NEW_INCOMPATIBLE, word(Header.W_INCOMPATIBLE), "kept by who knows it");
        cold(NOW, "the segment uses features 0x20000000000 that this library does not know");
    }

    /** The first header that an attach of another version writes is written copy by copy. */
    @Test
    void aDeathWhileTheVersionIsRaisedLeavesOneOrTheOther() throws Exception {
        leftBy(NOW);
        byte[] old = new byte[(int) Geometry.HEADER_SIZE];
        mapped(m -> MemorySegment.copy(m, ValueLayout.JAVA_BYTE, Geometry.HEADER_SIZE, old, 0, old.length));
        warm(NEXT).close();
        mapped(m -> MemorySegment.copy(old, 0, m, ValueLayout.JAVA_BYTE, Geometry.HEADER_SIZE, old.length));
        warm(NEXT).close();

        mapped(m -> MemorySegment.copy(old, 0, m, ValueLayout.JAVA_BYTE, Geometry.HEADER_SIZE, old.length));
        ShmBackend b = warm(NOW);
        assertFalse(b.attachReport().cleanStop());
        b.close();
    }
}
