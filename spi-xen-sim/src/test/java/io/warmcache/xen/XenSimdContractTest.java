/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.CacheConfig;
import io.warmcache.contract.BackendContract;
import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.FrameBackend;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.io.TempDir;

/** The contract over a socket, with the memory granted as to a guest of another process. */
class XenSimdContractTest extends BackendContract {
    private static final long MEMORY = 16L << 20;

    @TempDir
    Path directory;

    private @Nullable SimdServer server;

    private Path socket() {
        return directory.resolve("s");
    }

    @Override
    protected CacheConfig configuration() {
        return CacheConfig.of("guest", (long) FRAMES * PAGE)
                .withBackend("xen")
                .withPageSize(PAGE)
                .withOwnerWait(Duration.ofSeconds(60))
                .withOptions(Map.of("xen.socket", socket().toString()));
    }

    @Override
    protected FrameBackend attach(BackendConfig config) throws IOException {
        if (server == null) {
            server = SimdServer.start(socket(), MEMORY, directory, config.checksums());
        }
        return new XenProvider().attach(config);
    }

    @Override
    protected void die(FrameBackend backend, List<BackendFile> files) {
        ((RemoteBackend) backend).abandon();
    }

    @Override
    protected void clearUp() {
        SimdServer started = server;
        if (started != null) {
            started.machine().check();
            started.close();
        }
    }
}
