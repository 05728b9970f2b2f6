/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.local;

import io.warmcache.CacheConfig;
import io.warmcache.contract.BackendContract;
import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.FrameBackend;
import java.io.IOException;
import java.util.List;

class LocalContractTest extends BackendContract {
    @Override
    protected CacheConfig configuration() {
        return CacheConfig.of("contract", (long) FRAMES * PAGE).withBackend("volatile").withPageSize(PAGE);
    }

    @Override
    protected FrameBackend attach(BackendConfig config) throws IOException {
        return new LocalProvider().attach(config);
    }

    /** What nobody refers to any more has gone as far as another cache can tell. */
    @Override
    protected void die(FrameBackend backend, List<BackendFile> files) throws IOException {
        for (BackendFile file : files) {
            file.store().close();
        }
    }

    @Override
    protected void clearUp() {}
}
