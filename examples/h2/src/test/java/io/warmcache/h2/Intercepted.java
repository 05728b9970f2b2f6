/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.concurrent.atomic.AtomicInteger;

/** A cache in front of a real one, whose calls a test sees before they are made and may fail. */
final class Intercepted {
    private final PageCache cache;
    private final AtomicInteger mapped = new AtomicInteger();
    private final AtomicInteger closed = new AtomicInteger();
    private volatile Hook hook = method -> {};

    Intercepted(PageCache real) {
        cache = proxy(PageCache.class, real);
    }

    PageCache cache() {
        return cache;
    }

    /** Is called with the name of every method before it is called; what it throws is thrown instead. */
    void before(Hook newHook) {
        hook = newHook;
    }

    int mapped() {
        return mapped.get();
    }

    int closed() {
        return closed.get();
    }

    private <T> T proxy(Class<T> type, T real) {
        Object proxy = Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (self, method, args) -> {
            String name = method.getName();
            hook.before(name);
            Object result;
            try {
                result = method.invoke(real, args);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
            if (result instanceof PagedFile file) {
                mapped.incrementAndGet();
                return proxy(PagedFile.class, file);
            }
            if (type == PagedFile.class && name.equals("close")) {
                closed.incrementAndGet();
            }
            return result;
        });
        return type.cast(proxy);
    }

    /** Sees a call. */
    interface Hook {
        void before(String method) throws Exception;
    }
}
