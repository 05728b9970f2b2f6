/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

/**
 * What a client sent cannot be understood: it is told and its connection closed, since no later byte can be trusted.
 */
record ProtocolError(String message) {}
