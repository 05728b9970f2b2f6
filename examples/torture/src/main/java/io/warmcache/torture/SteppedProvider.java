/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import io.warmcache.CacheConfig;
import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.FrameBackend;
import io.warmcache.spi.FrameBackendProvider;
import java.io.IOException;
import java.util.ServiceLoader;

/**
 * Another back end, and a death before or after a call of one of its verbs: the steps between core and back end. Those
 * within {@code shm} are reached by its own switch.
 */
public final class SteppedProvider implements FrameBackendProvider {
    static final String NAME = "stepped";
    static final String OPTION_INNER = "stepped.inner";
    /** The number of the step, two for each call, at which the process kills itself. */
    static final String OPTION_DIE = "stepped.die";

    /** For {@link ServiceLoader}. */
    public SteppedProvider() {}

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public FrameBackend attach(BackendConfig config) throws IOException {
        Steps steps = new Steps(Long.parseLong(option(config.cache(), OPTION_DIE)));
        steps.step();
        FrameBackend inner = inner(config).attach(unwrapped(config));
        steps.step();
        return new SteppedBackend(inner, steps);
    }

    @Override
    public boolean drop(BackendConfig config) throws IOException {
        return inner(config).drop(unwrapped(config));
    }

    private static BackendConfig unwrapped(BackendConfig config) {
        CacheConfig cache = config.cache();
        return new BackendConfig(
                cache.withBackend(option(cache, OPTION_INNER)), config.checksum(), config.checksums());
    }

    private static String option(CacheConfig config, String name) {
        return config.options().getOrDefault(name, "");
    }

    private static FrameBackendProvider inner(BackendConfig config) {
        String name = option(config.cache(), OPTION_INNER);
        return ServiceLoader.load(FrameBackendProvider.class, SteppedProvider.class.getClassLoader()).stream()
                .map(ServiceLoader.Provider::get)
                .filter(each -> each.name().equals(name))
                .findFirst()
                .orElseThrow();
    }
}
