/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

/** Two cache lines of nothing; see {@link CursorState}. */
@SuppressWarnings({"unused", "UnusedVariable"}) // there for their place alone
abstract class CursorPadding {
    private long before0;
    private long before1;
    private long before2;
    private long before3;
    private long before4;
    private long before5;
    private long before6;
    private long before7;
    private long before8;
    private long before9;
    private long before10;
    private long before11;
    private long before12;
    private long before13;
    private long before14;
    private long before15;
}
