/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

/**
 * What a cursor writes on every seek, with two cache lines free before it and, in {@link Cursor}, behind it: objects
 * that a collection has put next to each other are as like as not those that refer to each other, and a mapping in
 * the line of one thread's cursor would cost each hit of every other thread a transfer of that line.
 */
abstract class CursorState extends CursorPadding {
    long page = -1;
    long word;
    long epoch;

    /** Where the page starts in the memory, or {@link #UNPLACED}, at which any read throws. */
    long base = UNPLACED;

    int tries;
    int hits;

    /** Of no place in the memory, whatever offset is added. */
    static final long UNPLACED = Long.MIN_VALUE;
}
