/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.CacheConfig;
import io.warmcache.contract.BackendContract;
import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.FrameBackend;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;

class ShmContractTest extends BackendContract {
    private Env env;

    @BeforeEach
    void open() throws Exception {
        env = new Env();
    }

    @Override
    protected CacheConfig configuration() {
        return env.config();
    }

    @Override
    protected FrameBackend attach(BackendConfig config) throws Exception {
        return env.attach(config);
    }

    @Override
    protected void die(FrameBackend backend, List<BackendFile> files) throws Exception {
        Env.kill((ShmBackend) backend, files.toArray(BackendFile[]::new));
    }

    @Override
    protected void clearUp() throws Exception {
        env.close();
    }
}
