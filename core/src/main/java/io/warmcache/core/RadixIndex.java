/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.jspecify.annotations.Nullable;

/**
 * A lock-free radix tree from page number to the leaf that holds the page's {@linkplain TranslationWord translation
 * word}. Leaves have {@value #LEAF_SLOTS} slots, inner nodes {@value #FANOUT}; the tree grows at the root as pages
 * need it. Lookups take no lock and write nothing; a leaf or node, once seen, stays where it is until {@link #bury}
 * makes the leaf's words DEAD.
 */
final class RadixIndex {
    static final int LEAF_BITS = 6;
    static final int LEAF_SLOTS = 1 << LEAF_BITS;
    static final int FANOUT_BITS = 10;
    static final int FANOUT = 1 << FANOUT_BITS;

    /** Pages are numbered below this, so that they fit a RoaringBitmap's unsigned 32 bits: 16 TiB of 4 KiB pages. */
    static final long MAX_PAGES = 1L << 32;

    private static final VarHandle NODE = MethodHandles.arrayElementVarHandle(Object[].class);
    private static final VarHandle LEAVES = MethodHandles.arrayElementVarHandle(long[][].class);
    private static final VarHandle ROOT;
    private static final VarHandle LEAVES_HELD;

    static {
        try {
            ROOT = MethodHandles.lookup().findVarHandle(RadixIndex.class, "root", Root.class);
            LEAVES_HELD = MethodHandles.lookup().findVarHandle(RadixIndex.class, "leavesHeld", int.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    /** The topmost node; {@code shift} is how far a leaf number is shifted to index it. */
    private static final class Root {
        final int shift;
        final @Nullable Object[] node;

        Root(int shift, @Nullable Object[] node) {
            this.shift = shift;
            this.node = node;
        }
    }

    /** The leaves of the first pages: the leftmost of the lowest nodes, however high the tree has grown. */
    final long[] @Nullable [] near = new long[FANOUT] @Nullable [];

    private Root root = new Root(0, near);
    private int leavesHeld;

    static int slot(long page) {
        return (int) page & (LEAF_SLOTS - 1);
    }

    /** The leaf of a page among {@link #near}; null if there is none, or the page is not among them. */
    static long @Nullable [] near(long[] @Nullable [] near, long page) {
        long number = page >>> LEAF_BITS;
        return number < FANOUT ? (long[]) LEAVES.getAcquire(near, (int) number) : null;
    }

    /** The leaf of a page, or null if there is none. */
    long @Nullable [] leaf(long page) {
        long number = page >>> LEAF_BITS;
        if (number < FANOUT) {
            return (long[]) LEAVES.getAcquire(near, (int) number);
        }
        Root r = (Root) ROOT.getAcquire(this);
        int shift = r.shift;
        if (number >>> shift >= FANOUT) {
            return null;
        }
        @Nullable Object[] node = r.node;
        for (; shift > 0; shift -= FANOUT_BITS) {
            Object next = NODE.getAcquire(node, (int) (number >>> shift) & (FANOUT - 1));
            if (next == null) {
                return null;
            }
            node = (Object[]) next;
        }
        return (long[]) LEAVES.getAcquire((long[][]) node, (int) number & (FANOUT - 1));
    }

    /** The leaf of a page from 0 to {@link #MAX_PAGES}, made if there is none. */
    long[] leafOrCreate(long page) {
        long[] found = leaf(page);
        return found != null ? found : create(page >>> LEAF_BITS);
    }

    private long[] create(long number) {
        Root r = (Root) ROOT.getAcquire(this);
        while (number >>> r.shift >= FANOUT) {
            @Nullable Object[] node = new @Nullable Object[FANOUT];
            node[0] = r.node;
            Root higher = new Root(r.shift + FANOUT_BITS, node);
            Root witness = (Root) ROOT.compareAndExchange(this, r, higher);
            r = witness == r ? higher : witness;
        }
        @Nullable Object[] node = r.node;
        for (int shift = r.shift; shift > 0; shift -= FANOUT_BITS) {
            node = (Object[]) childOrCreate(node, (int) (number >>> shift) & (FANOUT - 1), shift);
        }
        return (long[]) childOrCreate(node, (int) number & (FANOUT - 1), 0);
    }

    /** A child of a node whose children cover {@code 1 << shift} leaves each. */
    private Object childOrCreate(@Nullable Object[] node, int index, int shift) {
        Object child = NODE.getAcquire(node, index);
        if (child == null) {
            Object made =
                    switch (shift) {
                        case 0 -> new long[LEAF_SLOTS];
                        case FANOUT_BITS -> new long[FANOUT] @Nullable [];
                        default -> new @Nullable Object[FANOUT];
                    };
            Object witness = NODE.compareAndExchange(node, index, null, made);
            child = witness == null ? made : witness;
            if (shift == 0 && witness == null) {
                LEAVES_HELD.getAndAdd(this, 1);
            }
        }
        return child;
    }

    /** What {@link #forEachLeaf} calls. */
    @FunctionalInterface
    interface LeafVisitor {
        /** Called for one leaf, whose slot 0 is {@code firstPage}. */
        void visit(long firstPage, long[] leaf);
    }

    /** Visits the leaves that hold page {@code from} or a later one, in order of pages. */
    void forEachLeaf(long from, LeafVisitor visitor) {
        Root r = (Root) ROOT.getAcquire(this);
        visit(r.node, r.shift, 0, from >>> LEAF_BITS, visitor);
    }

    private static void visit(
            @Nullable Object[] node, int shift, long prefix, long from, LeafVisitor visitor) {
        for (int i = 0; i < FANOUT; i++) {
            long number = prefix + ((long) i << shift);
            if (number + (1L << shift) <= from) {
                continue;
            }
            Object child = NODE.getAcquire(node, i);
            if (child == null) {
                continue;
            }
            if (shift == 0) {
                visitor.visit(number << LEAF_BITS, (long[]) child);
            } else {
                visit((Object[]) child, shift - FANOUT_BITS, number, from, visitor);
            }
        }
    }

    /** Whether a leaf holds nothing at the moment. */
    static boolean isEmpty(long[] leaf) {
        for (int i = 0; i < LEAF_SLOTS; i++) {
            if (TranslationWord.state(TranslationWord.acquire(leaf, i)) != TranslationWord.EMPTY) {
                return false;
            }
        }
        return true;
    }

    /**
     * Owns every word of a leaf, all of which must be EMPTY, on the way to {@link #bury}.
     *
     * @return false, with nothing changed, if a word is not EMPTY. Waiters of the leaf's pages must be woken then, too
     */
    static boolean own(long[] leaf) {
        for (int i = 0; i < LEAF_SLOTS; i++) {
            long word = TranslationWord.acquire(leaf, i);
            if (TranslationWord.state(word) != TranslationWord.EMPTY
                    || !TranslationWord.cas(leaf, i, word, TranslationWord.withState(word, TranslationWord.LOADING))) {
                while (--i >= 0) {
                    long owned = TranslationWord.acquire(leaf, i);
                    TranslationWord.set(leaf, i, TranslationWord.withState(owned, TranslationWord.EMPTY));
                }
                return false;
            }
        }
        return true;
    }

    /**
     * Makes an owned leaf's words DEAD and takes it out of the tree. The epoch must have been raised since it was
     * owned, once for as many leaves as there are: its successor's versions start at 0. Waiters of its pages must be
     * woken afterwards.
     */
    void bury(long firstPage, long[] leaf) {
        for (int i = 0; i < LEAF_SLOTS; i++) {
            TranslationWord.set(
                    leaf, i, Mutation.LEAF_NOT_DEAD.isOn() ? TranslationWord.EMPTY : TranslationWord.DEAD);
        }
        long number = firstPage >>> LEAF_BITS;
        Root r = (Root) ROOT.getAcquire(this);
        @Nullable Object[] node = r.node;
        for (int shift = r.shift; shift > 0; shift -= FANOUT_BITS) {
            Object next = NODE.getAcquire(node, (int) (number >>> shift) & (FANOUT - 1));
            if (next == null) {
                return;
            }
            node = (Object[]) next;
        }
        if (NODE.compareAndSet(node, (int) number & (FANOUT - 1), leaf, null)) {
            LEAVES_HELD.getAndAdd(this, -1);
        }
    }

    /** Leaves in the tree. */
    int leaves() {
        return (int) LEAVES_HELD.getVolatile(this);
    }
}
