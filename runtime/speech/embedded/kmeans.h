/* k-means in any number of dimensions: k-means++ starts (Arthur and Vassilvitskii, "k-means++: the advantages of
 * careful seeding", SODA 2007), then Lloyd's passes over all points, or mini-batches (Sculley, "Web-scale k-means
 * clustering", WWW 2010). Same points, options and binary give the same bits for any number of threads. */
#ifndef SPIRITLM_SPEECH_EMBEDDED_KMEANS_H
#define SPIRITLM_SPEECH_EMBEDDED_KMEANS_H

#include "core/status.h"
#include "core/thread_pool.h"
#include "speech/embedded/device.h"

#include <stdbool.h>
#include <stdint.h>

struct kmeans_options {
    int64_t clusters;
    int64_t passes; /* the most passes over the points; Lloyd ends earlier when no point changes its cluster */
    int64_t batch;  /* points of a mini-batch; 0, or no fewer than the points: Lloyd over all of them */
    uint64_t seed;
    uint64_t purpose; /* part of the random stream's name, after RNG_KMEANS: differs between the fits of one run */
    struct embedded_device *device; /* where points are assigned; NULL: on the host's threads */
    bool given_start;               /* start from what `centroids` holds instead of k-means++ */
};

struct kmeans_report {
    double inertia;   /* mean squared distance of a point to its centroid, in the end */
    int64_t passes;   /* made */
    int64_t reseeded; /* empty clusters that were given a new point, over all passes */
};

/* points [count][dimensions], finite; centroids [clusters][dimensions]. A cluster that a pass leaves empty is moved
 * onto the point farthest from its own centroid (the lowest index among equals; several empty clusters take different
 * points). Only when the points have fewer distinct values than there are clusters do some stay empty: they repeat a
 * value. STATUS_USAGE when there are fewer points than clusters. report may be NULL. */
enum status kmeans_fit(const float *points, int64_t count, int64_t dimensions, const struct kmeans_options *options,
                       struct thread_pool *pool, float *centroids, struct kmeans_report *report);

/* The nearest centroid of each point, the lowest index among equals, and its squared distance (either output may be
 * NULL). A distance is the sum over dimensions, in order, of squared differences in float. */
enum status kmeans_assign(const float *points, int64_t count, int64_t dimensions, const float *centroids,
                          int64_t clusters, struct thread_pool *pool, int32_t *labels, float *distances);

/* Squared distances [count][clusters] of each point to each centroid, as kmeans_assign computes them. */
enum status kmeans_distances(const float *points, int64_t count, int64_t dimensions, const float *centroids,
                             int64_t clusters, float *distances);

/* One of Lloyd's updates: each centroid becomes the mean of its points, summed in double in the order of the points;
 * a centroid without points keeps its place. members [clusters] receives the number of points. */
enum status kmeans_update(const float *points, int64_t count, int64_t dimensions, const int32_t *labels,
                          int64_t clusters, struct thread_pool *pool, float *centroids, int64_t *members);

#endif
