/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * The SPI's contract as tests: extend {@link io.warmcache.contract.BackendContract}, say how to attach and how to
 * die, and run it with JUnit. For engines {@link io.warmcache.contract.CheckedReads} fails reads that are not
 * validated.
 */
@NullMarked
package io.warmcache.contract;

import org.jspecify.annotations.NullMarked;
