/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.spi;

/**
 * What an attach found.
 *
 * @param warm whether the records of an earlier life were taken over
 * @param coldReason why not, in one sentence; empty when warm
 * @param cleanStop whether the previous owner had detached in order
 * @param ownerWaitNanos how long the attach waited for a dying owner
 * @param unfinishedAttaches attaches before this one, in a row, that died without {@link
 *     FrameBackend#recoveryFinished}; an orderly {@link FrameBackend#close} is no death
 */
public record AttachReport(
        boolean warm, String coldReason, boolean cleanStop, long ownerWaitNanos, int unfinishedAttaches) {}
