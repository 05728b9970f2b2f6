/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.CacheConfig;
import io.warmcache.contract.BackendContract;
import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.FrameBackend;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;

class XenContractTest extends BackendContract {
    private Machine machine;

    @BeforeEach
    void powerOn() throws IOException {
        machine = Machine.create("contract", 8 * FRAMES, 3);
    }

    @Override
    protected CacheConfig configuration() {
        return CacheConfig.of("guest", (long) FRAMES * PAGE)
                .withBackend("xen")
                .withPageSize(PAGE)
                .withOwnerWait(Duration.ofMillis(1))
                .withOptions(Map.of("xen.machine", "contract"));
    }

    @Override
    protected FrameBackend attach(BackendConfig config) throws IOException {
        return new XenProvider().attach(config);
    }

    @Override
    protected void die(FrameBackend backend, List<BackendFile> files) {
        machine.domain("guest").crash("the contract says so");
    }

    @Override
    protected void clearUp() {
        machine.check();
        machine.close();
    }
}
