// SPDX-License-Identifier: BSD-3-Clause
// A storage handler in C++, queue shape: only blocks that were written take memory. submit() runs on the
// reactors and never waits, so the map is locked for the time of a look-up and a copy only.
#include <holdfast/handler.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <unordered_map>

namespace
{

const hf_host *host;

constexpr uint64_t chunk_bytes = 4096;
using chunk = std::array<char, chunk_bytes>;

struct config {
    uint64_t bytes;
};

class disk
{
  public:
    void read(char *to, uint64_t length, uint64_t offset)
    {
        each_chunk(length, offset, [&](uint64_t number, uint64_t at, uint64_t bytes) {
            auto found = chunks.find(number);
            if (found == chunks.end())
                memset(to, 0, bytes);
            else
                memcpy(to, found->second->data() + at, bytes);
            to += bytes;
        });
    }

    void write(const char *from, uint64_t length, uint64_t offset)
    {
        each_chunk(length, offset, [&](uint64_t number, uint64_t at, uint64_t bytes) {
            auto &there = chunks[number];
            if (!there)
                there = std::make_unique<chunk>(chunk{});
            memcpy(there->data() + at, from, bytes);
            from += bytes;
        });
    }

    void unmap(uint64_t length, uint64_t offset)
    {
        each_chunk(length, offset, [&](uint64_t number, uint64_t at, uint64_t bytes) {
            auto found = chunks.find(number);
            if (found != chunks.end())
                memset(found->second->data() + at, 0, bytes);
            if (bytes == chunk_bytes)
                chunks.erase(number);
        });
    }

  private:
    template <typename F> void each_chunk(uint64_t length, uint64_t offset, F visit)
    {
        std::lock_guard<std::mutex> guard(lock);
        while (length > 0) {
            uint64_t at = offset % chunk_bytes;
            uint64_t bytes = std::min(length, chunk_bytes - at);
            visit(offset / chunk_bytes, at, bytes);
            offset += bytes;
            length -= bytes;
        }
    }

    std::mutex lock;
    std::unordered_map<uint64_t, std::unique_ptr<chunk>> chunks;
};

// A LUN on one reactor.
struct queue {
    disk *of;
    hf_queue *name; // the daemon's
};

int32_t overlay_open(const hf_open *how, const void *data, hf_lun_info *info, void **ret_handle,
                     hf_error *error)
{
    info->bytes = static_cast<const config *>(data)->bytes;
    info->block_bytes = how->block_bytes ? how->block_bytes : 512;
    info->features = HF_FEATURE_IMMEDIATE | HF_FEATURE_UNMAP | HF_FEATURE_ZEROES_UNMAPPED;
    *ret_handle = new (std::nothrow) disk;
    return *ret_handle ? 0 : host->fail(error, ENOMEM, "no memory");
}

void overlay_close(void *handle)
{
    delete static_cast<disk *>(handle);
}

int32_t overlay_queue_open(void *handle, hf_queue *name, void **ret_queue, hf_error *error)
{
    *ret_queue = new (std::nothrow) queue{ static_cast<disk *>(handle), name };
    return *ret_queue ? 0 : host->fail(error, ENOMEM, "no memory");
}

void overlay_queue_close(void *q)
{
    delete static_cast<queue *>(q);
}

void move(disk *of, const hf_io *io)
{
    uint64_t offset = io->offset;
    for (uint32_t i = 0; i < io->iov_count; i++) {
        char *buffer = static_cast<char *>(io->iov[i].iov_base);
        if (io->op == HF_OP_READ)
            of->read(buffer, io->iov[i].iov_len, offset);
        else
            of->write(buffer, io->iov[i].iov_len, offset);
        offset += io->iov[i].iov_len;
    }
}

// No exception may leave the plugin: the daemon is C.
void overlay_submit(void *q, hf_io *io)
{
    queue *here = static_cast<queue *>(q);
    int32_t result = 0;
    try {
        if (io->op == HF_OP_UNMAP)
            here->of->unmap(io->length, io->offset);
        else
            move(here->of, io);
    } catch (const std::bad_alloc &) {
        result = -ENOSPC;
    }
    host->complete(here->name, io->id, result);
}

int32_t overlay_load(const hf_host *the_host, hf_error *)
{
    host = the_host;
    return 0;
}

// C++ before 20 has no designated initialisers; fields that are not set are zero.
hf_handler_ops make_ops()
{
    hf_handler_ops ops = {};
    ops.size = sizeof(ops);
    ops.shape = HF_SHAPE_QUEUE;
    ops.open = overlay_open;
    ops.close = overlay_close;
    ops.queue_open = overlay_queue_open;
    ops.submit = overlay_submit;
    ops.queue_close = overlay_queue_close;
    return ops;
}

hf_option make_size()
{
    hf_option row = {};
    row.size = sizeof(row);
    row.type = HF_OPTION_SIZE;
    row.name = "size";
    row.help = "size of the disk";
    row.change = HF_CHANGE_IDENTITY;
    row.flags = HF_OPTION_REQUIRED;
    row.offset = offsetof(config, bytes);
    return row;
}

hf_plugin make_plugin()
{
    static const hf_handler_ops ops = make_ops();
    static const hf_option options[] = { make_size(), hf_option{} };
    hf_plugin plugin = {};
    plugin.size = sizeof(plugin);
    plugin.api_major = HF_API_MAJOR;
    plugin.api_minor = HF_API_MINOR;
    plugin.kind = HF_KIND_HANDLER;
    plugin.name = "overlay";
    plugin.version = "1.0";
    plugin.summary = "a disk that takes memory for written blocks only";
    plugin.options = options;
    plugin.config_bytes = sizeof(config);
    plugin.ops = &ops;
    plugin.load = overlay_load;
    return plugin;
}

} // namespace

const hf_plugin *hf_plugin_v1(void)
{
    static const hf_plugin plugin = make_plugin();
    return &plugin;
}
