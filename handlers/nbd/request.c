/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An I/O as NBD commands. NBD takes one piece of memory a command: what lies in several goes through a copy.
 * Trimming and zeroing have 32 bits for a length: long ones are done piece by piece.
 *
 * A request whose connection is lost before its answer came waits, and is sent again as it was: by the
 * contract of handlers, nobody may count on the order of overlapping writes that have no answer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nbd.h"

#define PIECE_MAX (UINT64_C(1) << 30) /* of trimming, zeroing, asking for status */

/* ---------------------------------------------------------------------------------------- chains */

static void link_after(struct chain *chain, struct request *before, struct request *request)
{
    request->before = before;
    request->next = before ? before->next : chain->first;
    *(before ? &before->next : &chain->first) = request;
    *(request->next ? &request->next->before : &chain->last) = request;
}

void chain_append(struct chain *chain, struct request *request)
{
    link_after(chain, chain->last, request);
}

void chain_remove(struct chain *chain, struct request *request)
{
    *(request->before ? &request->before->next : &chain->first) = request->next;
    *(request->next ? &request->next->before : &chain->last) = request->before;
    request->next = request->before = NULL;
}

void chain_insert(struct chain *chain, struct request *request)
{
    struct request *before = chain->last;
    while (before && before->number > request->number)
        before = before->before;
    link_after(chain, before, request);
}

void chain_join(struct chain *to, struct chain *from)
{
    if (!from->first)
        return;
    from->first->before = to->last;
    *(to->last ? &to->last->next : &to->first) = from->first;
    to->last = from->last;
    *from = (struct chain){ NULL, NULL };
}

/* ---------------------------------------------------------------------------------------- memory */

static uint32_t has_data(const struct hf_io *io)
{
    return io->op == HF_OP_READ || io->op == HF_OP_WRITE;
}

/* Where all of the I/O's memory is one piece. NULL: it is not. */
static char *one_piece(const struct hf_io *io)
{
    const struct iovec *iov = io->iov;
    for (uint32_t i = 1; i < io->iov_count; i++)
        if ((char *)iov[i - 1].iov_base + iov[i - 1].iov_len != (char *)iov[i].iov_base)
            return NULL;
    return iov[0].iov_base;
}

static void copy(const struct hf_io *io, char *bounce, int out)
{
    for (uint32_t i = 0; i < io->iov_count; bounce += io->iov[i++].iov_len) {
        if (out)
            memcpy(io->iov[i].iov_base, bounce, io->iov[i].iov_len);
        else
            memcpy(bounce, io->iov[i].iov_base, io->iov[i].iov_len);
    }
}

/* The memory for the command; kept until the answer, so that what is sent again is the same. */
static char *memory_of(struct request *request)
{
    const struct hf_io *io = request->io;
    char *memory = request->bounce ? request->bounce : one_piece(io);
    if (memory)
        return memory;
    request->bounce = malloc(io->length);
    if (request->bounce && io->op == HF_OP_WRITE)
        copy(io, request->bounce, 0);
    return request->bounce;
}

/* ---------------------------------------------------------------------------------------- answers */

void request_answer(struct request *request, int32_t result)
{
    struct hf_io *io = request->io;
    struct queue *queue = request->queue;
    if (request->bounce && io->op == HF_OP_READ && result == 0)
        copy(io, request->bounce, 1);
    free(request->bounce);
    queue->client->host->complete_remote(queue->name, io->id, result);
}

void request_wait(struct request *request)
{
    chain_insert(&request->queue->client->waiting, request);
}

static void leave(struct request *request)
{
    struct connection *connection = request->on;
    chain_remove(&connection->under_way, request);
    connection->under_way_count--;
    request->on = NULL;
}

/* The server's errors are few; what no initiator can do anything about becomes EIO. */
static int32_t result_of(const struct hf_io *io, int error)
{
    switch (error) {
    case ENOSPC:
    case ENOTSUP:
        return -error;
    case EPERM:
        return io->op == HF_OP_WRITE || io->op == HF_OP_WRITE_ZEROES || io->op == HF_OP_UNMAP
                   ? -EROFS
                   : -EIO;
    case ENOMEM:
        return -EAGAIN;
    default:
        return -EIO;
    }
}

/* Whole blocks. With the promise that holes are zeroes, a hole that the server does not call so is none. */
static int32_t take_extent(struct request *request)
{
    const struct client *client = request->queue->client;
    struct hf_lun_info info = { .size = sizeof(info) };
    client_fill_info(client, &info);
    uint32_t hole = request->extent_state & LIBNBD_STATE_HOLE &&
                    (!(info.features & HF_FEATURE_ZEROES_UNMAPPED) ||
                     request->extent_state & LIBNBD_STATE_ZERO);
    uint64_t whole = request->extent_bytes / info.block_bytes * info.block_bytes;
    if (request->extent_bytes == 0)
        return -EIO;
    request->io->extent_bytes = whole ? whole : info.block_bytes;
    request->io->extent_mapped = !hole || !whole;
    return 0;
}

static int answered(void *data, int *error)
{
    struct request *request = data;
    struct connection *connection = request->on;
    leave(request);
    if (*error == ESHUTDOWN)
        connection->leaving = 1;
    if (*error == ESHUTDOWN || *error == ENOTCONN) {
        request_wait(request);
        return 1;
    }
    if (*error) {
        request_answer(request, result_of(request->io, *error));
        return 1;
    }
    request->done += request->piece;
    if (request->io->op == HF_OP_BLOCK_STATUS)
        request_answer(request, take_extent(request));
    else if (request->done < request->io->length)
        request_wait(request);
    else
        request_answer(request, 0);
    return 1;
}

/* The first extent is what was asked for; a server may send more. */
static int on_extent(void *data, const char *context, uint64_t offset, uint32_t *entries,
                     size_t count, int *error)
{
    struct request *request = data;
    if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) == 0 && count >= 2 &&
        request->extent_bytes == 0) {
        request->extent_bytes = entries[0];
        request->extent_state = entries[1];
    }
    return 0;
}

/* ------------------------------------------------------------------------------------------- send */

static uint32_t command_flags(const struct request *request)
{
    const struct client *client = request->queue->client;
    const struct hf_io *io = request->io;
    uint32_t flags = 0;
    if (io->flags & HF_IO_FUA || client->config->write_through)
        flags |= LIBNBD_CMD_FLAG_FUA;
    if (io->op == HF_OP_WRITE_ZEROES && !(io->flags & HF_IO_UNMAP))
        flags |= LIBNBD_CMD_FLAG_NO_HOLE;
    return flags;
}

/* A cookie, or -1. */
static int64_t issue(struct request *request, struct nbd_handle *nbd, char *memory)
{
    const struct hf_io *io = request->io;
    uint64_t offset = io->offset + request->done, piece = request->piece;
    nbd_completion_callback done = { .callback = answered, .user_data = request };
    switch (io->op) {
    case HF_OP_READ:
        return nbd_aio_pread(nbd, memory, piece, offset, done, 0);
    case HF_OP_WRITE:
        return nbd_aio_pwrite(nbd, memory, piece, offset, done, command_flags(request));
    case HF_OP_FLUSH:
        return nbd_aio_flush(nbd, done, 0);
    case HF_OP_UNMAP:
        if (request->queue->client->config->unmap == UNMAP_TRIM)
            return nbd_aio_trim(nbd, piece, offset, done, command_flags(request));
        return nbd_aio_zero(nbd, piece, offset, done, command_flags(request));
    case HF_OP_WRITE_ZEROES:
        return nbd_aio_zero(nbd, piece, offset, done, command_flags(request));
    default:
        return nbd_aio_block_status(
            nbd, piece, offset,
            (nbd_extent_callback){ .callback = on_extent, .user_data = request }, done,
            LIBNBD_CMD_FLAG_REQ_ONE);
    }
}

void request_send(struct request *request, struct connection *connection)
{
    const struct hf_io *io = request->io;
    uint64_t left = io->length - request->done;
    char *memory = has_data(io) ? memory_of(request) : NULL;
    if (has_data(io) && !memory) {
        request_answer(request, -EAGAIN);
        return;
    }
    request->piece = has_data(io) || left < PIECE_MAX ? left : PIECE_MAX;
    request->extent_bytes = 0;
    request->on = connection;
    chain_append(&connection->under_way, request);
    connection->under_way_count++;
    int64_t cookie = issue(request, connection->nbd, memory);
    int error = nbd_get_errno();
    connection_note_death(connection);
    if (cookie >= 0)
        return;
    leave(request);
    if (nbd_aio_is_ready(connection->nbd) > 0 || nbd_aio_is_processing(connection->nbd) > 0) {
        request_answer(request, error == ENOMEM ? -EAGAIN : -EIO); /* libnbd will not have it */
        return;
    }
    connection->up = 0; /* connection_look() does the rest */
    request_wait(request);
}

uint32_t request_features(const struct config *config, const struct export *export)
{
    uint32_t features = export->flags & EXPORT_STATUS ? HF_FEATURE_BLOCK_STATUS : 0;
    if (export->flags & EXPORT_READ_ONLY)
        return features | HF_FEATURE_READ_ONLY;
    if (export->flags & EXPORT_FLUSH && !config->write_through)
        features |= HF_FEATURE_VOLATILE_CACHE;
    if (export->flags & EXPORT_FUA)
        features |= HF_FEATURE_FUA;
    if (export->flags & EXPORT_ZEROES)
        features |= HF_FEATURE_WRITE_ZEROES;
    if (config->unmap == UNMAP_TRIM && export->flags & EXPORT_TRIM)
        features |= HF_FEATURE_UNMAP;
    if (config->unmap == UNMAP_ZEROES && export->flags & EXPORT_ZEROES)
        features |= HF_FEATURE_UNMAP | HF_FEATURE_ZEROES_UNMAPPED;
    return features;
}
